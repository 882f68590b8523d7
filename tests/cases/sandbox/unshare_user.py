import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000) >= 0:
    print("ESCAPED: unshare(CLONE_NEWUSER)")
    sys.exit(0)
sys.exit("unshare(CLONE_NEWUSER): " + os.strerror(ctypes.get_errno()))
