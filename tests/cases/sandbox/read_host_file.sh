cat "$HOST_FILE" && echo "ESCAPED: read a file of the host"
