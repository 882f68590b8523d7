import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(321, 0, ctypes.create_string_buffer(72), 72) >= 0:
    print("ESCAPED: bpf")
    sys.exit(0)
sys.exit("bpf: " + os.strerror(ctypes.get_errno()))
