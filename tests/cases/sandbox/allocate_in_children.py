#: contained = memory over
import os, time
for i in range(20):
    if os.fork() == 0:
        keep = b"x" * (64 << 20)
        time.sleep(60)
time.sleep(60)
