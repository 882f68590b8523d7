import os, sys
extra = [n for n in os.listdir("/proc/self/fd") if int(n) > 2]
for n in extra:
    try:
        print("ESCAPED: has a descriptor", n, os.readlink("/proc/self/fd/" + n))
    except OSError:
        pass  # the one that listdir had open
sys.exit("only the standard streams")
