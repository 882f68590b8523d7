#: contained = memory over
import socket, time
server = socket.create_server(("127.0.0.1", 0), backlog=200)
keep = []
for i in range(110):
    c = socket.create_connection(server.getsockname())
    a, _ = server.accept()
    keep += [c, a]
    c.setblocking(False)
    try:
        while True:
            c.send(b"z" * (1 << 20))
    except BlockingIOError:
        pass
time.sleep(15)
print("ESCAPED: TCP buffers")
