for f in /proc/sys/kernel/domainname /proc/sys/vm/drop_caches /proc/sys/net/ipv4/ip_forward; do
  old=$(cat $f 2>/dev/null) && echo "${old:-1}" >$f && echo "ESCAPED: wrote $f"
done
echo h >/proc/sysrq-trigger && echo "ESCAPED: sysrq"
false
