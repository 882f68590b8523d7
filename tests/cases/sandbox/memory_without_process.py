import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.memfd_create(b"x", 0) >= 0:
    print("ESCAPED: memfd_create")
    sys.exit(0)
sys.exit("memfd_create: " + os.strerror(ctypes.get_errno()))
