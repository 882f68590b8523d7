keep = []
while True:
    keep.append(open("/dev/null"))
