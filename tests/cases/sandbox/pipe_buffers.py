#: contained = memory over
import fcntl, os, time
for child in range(40):
    if os.fork() == 0:
        for i in range(120):
            r, w = os.pipe()
            os.set_blocking(w, False)
            try:
                fcntl.fcntl(w, 1031, 1 << 20)
            except OSError:
                pass
            try:
                while True:
                    os.write(w, b"z" * 4096)
            except BlockingIOError:
                pass
        time.sleep(15)
        os._exit(0)
time.sleep(15)
print("ESCAPED: pipes")
