#: contained = wrote more than
import mmap, os, time
keep, block = [], b"z" * (1 << 20)
for i in range(12):
    fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.ftruncate(fd, 30 << 20)
    m = mmap.mmap(fd, 30 << 20)
    os.unlink("f")
    for each in os.listdir("/proc/self/fd"):
        try:
            if int(each) > 2 and "(deleted)" in os.readlink("/proc/self/fd/" + each):
                os.close(int(each))
        except OSError:
            pass
    keep.append(m)
    for at in range(0, 30 << 20, 1 << 20):
        m[at:at + (1 << 20)] = block
        m.madvise(mmap.MADV_DONTNEED, at, 1 << 20)
    time.sleep(0.1)
time.sleep(10)
print("ESCAPED: 360 MiB on the disk in files without a name")
