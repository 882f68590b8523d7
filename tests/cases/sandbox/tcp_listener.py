import os, socket
s = socket.create_connection(("127.0.0.1", int(os.environ["HOST_PORT"])), 2)
s.sendall(b"hello")
print("ESCAPED: connected to a listener of the host")
