import os, sys
os.mkdir("closed")
open("closed/file", "w").close()
os.chmod("closed", 0)
sys.exit("left a directory that cannot be read")
