#: contained = wrote more than
import os, socket, time
keep = []
for i in range(12):
    a, b = socket.socketpair()
    fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, b"z" * (30 << 20))
    os.unlink("f")
    socket.send_fds(a, [b"x"], [fd])
    os.close(fd)
    a.close()
    keep.append(b)
    time.sleep(0.1)
time.sleep(10)
print("ESCAPED: 360 MiB on the disk in descriptors under way")
