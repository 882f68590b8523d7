#: contained = memory over
import mmap, time
m = mmap.mmap(-1, 1 << 38, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=mmap.PROT_READ)
total = 0
for at in range(0, 1 << 38, 1 << 21):
    total += m[at]
time.sleep(15)
print("ESCAPED: half a gibibyte of page tables")
