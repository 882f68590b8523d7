import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.socket(40, 1, 0) >= 0:
    print("ESCAPED: socket(AF_VSOCK)")
    sys.exit(0)
sys.exit("socket(AF_VSOCK): " + os.strerror(ctypes.get_errno()))
