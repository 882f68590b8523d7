import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
import struct
buffer = ctypes.create_string_buffer(struct.pack("II", 1, 112) + bytes(104))
if libc.syscall(298, buffer, 0, -1, -1, 0) >= 0:
    print("ESCAPED: perf_event_open")
    sys.exit(0)
sys.exit("perf_event_open: " + os.strerror(ctypes.get_errno()))
