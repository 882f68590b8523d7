import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) >= 0:
    print("ESCAPED: mount")
    sys.exit(0)
sys.exit("mount: " + os.strerror(ctypes.get_errno()))
