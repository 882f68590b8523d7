echo owned >"$HOST_FILE" && echo "ESCAPED: wrote a file of the host"
