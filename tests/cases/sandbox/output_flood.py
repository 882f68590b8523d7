#: contained = of output
#: time_ms = 60000
import os
chunk = b"x" * (1 << 20)
while True:
    os.write(1, chunk)
