#: contained = ran longer than
#: time_ms = 400
import signal
for s in range(1, 32):
    if s not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(s, signal.SIG_IGN)
while True:
    pass
