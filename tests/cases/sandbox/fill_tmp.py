chunk = b"x" * (1 << 20)
for i in range(1 << 30):
    with open(f"/tmp/part{i}", "wb") as f:
        f.write(chunk)
