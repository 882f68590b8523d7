#: contained = memory over
import mmap, os, time
m = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
for at in range(0, 1 << 30, 16 << 20):
    if os.fork() == 0:
        m[at:at + (16 << 20)] = b"z" * (16 << 20)
        os._exit(0)
    os.wait()
time.sleep(10)
print("ESCAPED: 1 GiB of shared pages")
