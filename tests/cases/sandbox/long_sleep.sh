#: contained = ran longer than
#: time_ms = 300
sleep 1000
