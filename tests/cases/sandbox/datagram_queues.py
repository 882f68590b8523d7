#: contained = memory over
import os, socket, time
keep = []
for child in range(4):
    if os.fork() == 0:
        for i in range(120):
            r = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            r.bind(f"\0{os.getpid()}-{i}")
            keep.append(r)
            for k in range(11):
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                s.setblocking(False)
                try:
                    s.connect(r.getsockname())
                    s.send(b"z" * 180000)
                except BlockingIOError:
                    pass
                s.close()
        time.sleep(15)
        os._exit(0)
time.sleep(15)
print("ESCAPED: datagrams whose senders are gone")
