#: contained = ran longer than
#: time_ms = 300
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)
