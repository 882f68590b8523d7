import os
os.link("/usr/bin/env", "env")
print("ESCAPED: linked a file of the host")
