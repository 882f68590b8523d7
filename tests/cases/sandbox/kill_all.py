import os, signal
try:
    os.kill(-1, signal.SIGKILL)
except OSError as error:
    print(error)
raise SystemExit("nobody else to kill")
