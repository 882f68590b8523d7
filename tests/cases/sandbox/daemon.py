#: reason = none
import os, time
if os.fork():
    os._exit(1)
os.setsid()
if os.fork():
    os._exit(0)
open("daemon_ran", "w").close()
time.sleep(600)
