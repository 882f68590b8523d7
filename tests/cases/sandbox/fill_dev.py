open("/dev/file", "wb").write(b"x")
print("ESCAPED: wrote into /dev, which has no size limit")
