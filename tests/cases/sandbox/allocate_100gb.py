#: contained = memory over
keep = []
for i in range(100):
    keep.append(b"x" * (1 << 30))
print("ESCAPED: 100 GB")
