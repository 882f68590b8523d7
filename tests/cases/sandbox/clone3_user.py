import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
import struct
buffer = ctypes.create_string_buffer(struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0))
if libc.syscall(435, buffer, ctypes.c_long(64)) >= 0:
    print("ESCAPED: clone3(CLONE_NEWUSER)")
    sys.exit(0)
sys.exit("clone3(CLONE_NEWUSER): " + os.strerror(ctypes.get_errno()))
