import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.shmget(0, 1 << 20, 0o1600) >= 0:
    print("ESCAPED: shmget")
    sys.exit(0)
sys.exit("shmget: " + os.strerror(ctypes.get_errno()))
