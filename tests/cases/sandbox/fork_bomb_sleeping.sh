#: contained = processes and threads
while :; do sleep 60 & done
