#: contained = memory over
import mmap, os, time
keep, block = [], b"z" * (16 << 20)
for i in range(64):
    fd = os.open("/dev/zero", os.O_RDWR)
    m = mmap.mmap(fd, 16 << 20)
    keep.append(m)
    m[:] = block
    m.madvise(mmap.MADV_DONTNEED)
time.sleep(10)
print("ESCAPED: 1 GiB of shared pages")
