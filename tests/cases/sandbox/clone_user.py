import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(56, ctypes.c_long(0x10000000 | 17), 0, 0, 0, 0) >= 0:
    print("ESCAPED: clone(CLONE_NEWUSER)")
    sys.exit(0)
sys.exit("clone(CLONE_NEWUSER): " + os.strerror(ctypes.get_errno()))
