#: contained = wrote more than
import mmap, os, time
keep = []
for i in range(12):
    fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, b"z" * (30 << 20))
    keep.append(mmap.mmap(fd, 4096))
    os.unlink("f")
    for each in os.listdir("/proc/self/fd"):
        try:
            if int(each) > 2 and "(deleted)" in os.readlink("/proc/self/fd/" + each):
                os.close(int(each))
        except OSError:
            pass
    time.sleep(0.1)
time.sleep(10)
print("ESCAPED: 360 MiB on the disk, of which a page each is mapped")
