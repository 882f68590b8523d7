import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(250, 0, -3, 0) >= 0:
    print("ESCAPED: keyctl")
    sys.exit(0)
sys.exit("keyctl: " + os.strerror(ctypes.get_errno()))
