echo 1 >/proc/sys/kernel/panic && echo "ESCAPED: wrote a sysctl"
echo c >/proc/sysrq-trigger && echo "ESCAPED: sysrq"
