import os, sys
names = [n for n in os.listdir("/proc") if n.isdigit()]
if len(names) > 3:
    print("ESCAPED: sees", names)
sys.exit("alone")
