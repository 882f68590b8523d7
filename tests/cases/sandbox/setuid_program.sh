echo | timeout 2 su -c id && echo "ESCAPED: su"
grep -q "NoNewPrivs:.1" /proc/self/status || echo "ESCAPED: new privileges are possible"
cp /usr/bin/id . && chmod 4755 id && ./id | grep "euid=0" && echo "ESCAPED: setuid"
false
