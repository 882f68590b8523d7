import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(None, b"/usr", None, 32 | 4096, None) >= 0:
    print("ESCAPED: remount of /usr")
    sys.exit(0)
sys.exit("remount of /usr: " + os.strerror(ctypes.get_errno()))
