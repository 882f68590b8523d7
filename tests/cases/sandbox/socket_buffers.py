#: contained = memory over
import os, socket, time
keep = []
for child in range(12):
    if os.fork() == 0:
        for i in range(120):
            a, b = socket.socketpair()
            for s in (a, b):
                s.setblocking(False)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
                try:
                    while True:
                        s.send(b"z" * 65536)
                except BlockingIOError:
                    pass
            keep += [a, b]
        time.sleep(15)
        os._exit(0)
time.sleep(15)
print("ESCAPED: socket buffers")
