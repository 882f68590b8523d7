import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.kill(int(os.environ["HOST_PID"]), 9) >= 0:
    print("ESCAPED: kill of a host process")
    sys.exit(0)
sys.exit("kill of a host process: " + os.strerror(ctypes.get_errno()))
