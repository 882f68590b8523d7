import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect("\0" + os.environ["HOST_ABSTRACT"])
print("ESCAPED: connected to an abstract socket of the host")
