import os
os.nice(-10)
print("ESCAPED: raised its priority")
