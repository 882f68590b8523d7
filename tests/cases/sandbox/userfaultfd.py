import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(323, 1) >= 0:
    print("ESCAPED: userfaultfd")
    sys.exit(0)
sys.exit("userfaultfd: " + os.strerror(ctypes.get_errno()))
