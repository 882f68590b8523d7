import os
fd = os.open("sparse", os.O_CREAT | os.O_RDWR, 0o600)
os.ftruncate(fd, 1 << 40)
print("ESCAPED: a file of 1 TB")
