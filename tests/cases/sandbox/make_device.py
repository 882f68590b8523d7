import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.mknod(b"mem", 0o20666, (1 << 8) | 1) >= 0:
    print("ESCAPED: mknod of /dev/mem")
    sys.exit(0)
sys.exit("mknod of /dev/mem: " + os.strerror(ctypes.get_errno()))
