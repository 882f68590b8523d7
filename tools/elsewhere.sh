#!/bin/sh
# Builds Lathe in another system and runs its unit tests there. The system is Debian's, bootstrapped once into build/elsewhere/SYSTEM
# (needs root and a way to Debian's packages); it sees this checkout, unchangeable, as /lathe and builds into its own /build.
# usage: elsewhere.sh debian-13          Debian 13: its GCC 14, Boost 1.83, fmt 10
#        elsewhere.sh arm64              ground, infer and loop for ARM64 by Debian 12's cross compiler; their tests through qemu
#        elsewhere.sh SYSTEM COMMAND…    runs a command there instead
# environment: JOBS (processes at once), CCACHE_DIR (a compiler cache that the system shall share), DEBIAN_MIRROR
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
system=${1:-}
case "$system" in
  debian-13) release=trixie ;;
  arm64) release=bookworm ;;
  *) sed -n '4,6s/^# *//p' "$0" >&2; exit 2 ;;
esac
shift
[ "$(id -u)" = 0 ] || { echo "error: elsewhere.sh needs root, to bootstrap a system and to mount in it" >&2; exit 1; }

root=$here/build/elsewhere/$system
if ! [ -e "$root/bootstrapped" ]; then
  "$here/tools/install-packages.sh" elsewhere
  rm -rf "$root" && mkdir -p "$root"
  debootstrap --variant=minbase "$release" "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  mkdir -p "$root/lathe" "$root/build" "$root/ccache"
  touch "$root/bootstrapped"
fi
[ $# -gt 0 ] || set -- "/lathe/tools/elsewhere/$system.sh"

# Mounts that end with the command; a root of its own instead of chroot's, in which no user namespace could be made.
exec unshare --mount --pid --fork --kill-child env --ignore-environment \
  PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  JOBS="${JOBS:-$(nproc)}" ROOT="$root" HERE="$here" CACHE="${CCACHE_DIR:-}" sh -euc '
    mount --bind "$ROOT" "$ROOT"
    mount --bind -o ro "$HERE" "$ROOT/lathe"
    mount -o remount,bind,ro "$ROOT/lathe"
    mount --rbind /dev "$ROOT/dev"
    mount -t proc proc "$ROOT/proc"
    mount --rbind /sys "$ROOT/sys"
    cp /etc/resolv.conf "$ROOT/etc/resolv.conf"
    if [ -n "$CACHE" ]; then
      mount --bind "$CACHE" "$ROOT/ccache"
      export CCACHE_DIR=/ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_SLOPPINESS=pch_defines,time_macros
    fi
    unset CACHE HERE
    cd "$ROOT"
    unset ROOT
    pivot_root . mnt
    umount -l mnt
    cd /build
    "$@" || exit $?  # not exec: this shell is process 1 here, and buries orphans' sh "$@"
