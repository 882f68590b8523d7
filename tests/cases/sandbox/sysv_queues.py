import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for name, *arguments in (("msgget", 0, 0o1600), ("semget", 0, 1000, 0o1600)):
    if getattr(libc, name)(*arguments) >= 0:
        print("ESCAPED:", name)
        sys.exit(0)
sys.exit("message queues: " + os.strerror(ctypes.get_errno()))
