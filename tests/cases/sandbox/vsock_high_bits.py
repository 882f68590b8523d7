import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(41, ctypes.c_long((1 << 32) | 40), ctypes.c_long(1), ctypes.c_long(0)) >= 0:
    print("ESCAPED: socket(AF_VSOCK with bits that the kernel ignores)")
    sys.exit(0)
sys.exit("socket(AF_VSOCK with bits that the kernel ignores): " + os.strerror(ctypes.get_errno()))
