import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(425, 4, ctypes.create_string_buffer(120)) >= 0:
    print("ESCAPED: io_uring_setup")
    sys.exit(0)
sys.exit("io_uring_setup: " + os.strerror(ctypes.get_errno()))
