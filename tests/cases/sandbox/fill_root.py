open("/file", "wb").write(b"x")
print("ESCAPED: wrote into /, which has no size limit")
