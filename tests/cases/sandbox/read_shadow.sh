cat /etc/shadow && echo "ESCAPED: read /etc/shadow"
