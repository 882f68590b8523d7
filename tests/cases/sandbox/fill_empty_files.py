#: contained = wrote more than
for i in range(1 << 30):
    open(f"empty{i}", "wb").close()
