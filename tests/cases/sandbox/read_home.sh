ls -la "$HOST_HOME" && echo "ESCAPED: listed a home"
ls -la /home /root && echo "ESCAPED: listed homes"
