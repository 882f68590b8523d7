import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(47, 2, 12, 0, 0) >= 0:
    print("ESCAPED: raise an ambient capability")
    sys.exit(0)
sys.exit("raise an ambient capability: " + os.strerror(ctypes.get_errno()))
