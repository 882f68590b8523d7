import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.setuid(0) >= 0:
    print("ESCAPED: setuid(0)")
    sys.exit(0)
sys.exit("setuid(0): " + os.strerror(ctypes.get_errno()))
