import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.ioctl(0, 0x5412, b"x") >= 0:
    print("ESCAPED: ioctl(TIOCSTI)")
    sys.exit(0)
sys.exit("ioctl(TIOCSTI): " + os.strerror(ctypes.get_errno()))
