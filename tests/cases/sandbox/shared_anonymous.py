#: contained = memory over
import mmap, time
keep, block = [], b"z" * (16 << 20)
for i in range(8):
    m = mmap.mmap(-1, 128 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    keep.append(m)
    for at in range(0, 128 << 20, 16 << 20):
        m[at:at + (16 << 20)] = block
        m.madvise(mmap.MADV_DONTNEED, at, 16 << 20)
time.sleep(10)
print("ESCAPED: 1 GiB of shared pages")
