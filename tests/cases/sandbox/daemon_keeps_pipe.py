import os, sys, time
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
sys.exit("the daemon holds standard output")
