#: contained = wrote more than
import os, time
chunk = b"x" * (1 << 20)
keep = []
for i in range(120):
    f = open("hidden", "wb")
    keep.append(f)
    os.unlink("hidden")
    for k in range(16):
        f.write(chunk)
    f.flush()
time.sleep(60)
