import os
os.execv(os.environ["HOST_PROGRAM"], ["x"])
