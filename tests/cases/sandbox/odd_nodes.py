import os, socket, sys
os.mkfifo("result.xml")
s = socket.socket(socket.AF_UNIX)
s.bind("socket")
os.symlink("loop", "loop")
sys.exit("left a pipe where a report is expected")
