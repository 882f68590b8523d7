chunk = b"x" * (1 << 20)
with open("big", "wb") as f:
    while True:
        f.write(chunk)
