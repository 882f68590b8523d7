#: reason = any
import os, signal, time
for s in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
    try:
        os.kill(1, s)
    except OSError as error:
        print(error)
time.sleep(0.2)
raise SystemExit("still here")
