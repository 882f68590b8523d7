import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, int(os.environ["HOST_PID"]), 0, 0) >= 0:
    print("ESCAPED: ptrace of the host")
    sys.exit(0)
sys.exit("ptrace of the host: " + os.strerror(ctypes.get_errno()))
