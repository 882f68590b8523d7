import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.setns(os.open("/proc/1/ns/net", os.O_RDONLY), 0) >= 0:
    print("ESCAPED: setns")
    sys.exit(0)
sys.exit("setns: " + os.strerror(ctypes.get_errno()))
