import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.ioctl(os.open("/dev/ptmx", os.O_RDWR), ctypes.c_ulong((1 << 32) | 0x5412), b"x") >= 0:
    print("ESCAPED: ioctl(TIOCSTI with bits that the kernel ignores)")
    sys.exit(0)
sys.exit("ioctl(TIOCSTI with bits that the kernel ignores): " + os.strerror(ctypes.get_errno()))
