#: contained = directories nested deeper
import os
while True:
    os.mkdir("d")
    os.chdir("d")
