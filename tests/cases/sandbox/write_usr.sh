echo x >/usr/bin/lathe-was-here && echo "ESCAPED: wrote into /usr"
