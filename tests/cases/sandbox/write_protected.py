import os
path = os.environ["HOST_READ_ONLY"]
try:
    os.chmod(path, 0o666)
except OSError as error:
    print(error)
open(path, "a").write("owned")
print("ESCAPED: wrote a read-only file")
