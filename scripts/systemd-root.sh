#!/usr/bin/env bash
# A small Debian with a systemd that is really booted, to test units and fstab lines in (docs/operations.md). It runs in
# namespaces of its own, in a root directory of its own, and shares only the network with this machine. As root, on Linux.
#
#   scripts/systemd-root.sh up            makes it where there is none, and boots it; up again after `off` is a reboot
#   scripts/systemd-root.sh run CMD...    runs a command in it
#   scripts/systemd-root.sh off           shuts it down in order, and keeps its files
#   scripts/systemd-root.sh down          ends every process in it at once, and removes it
#   scripts/systemd-root.sh install       only installs what it needs
#
# This checkout is there as /opt/pailfs, read-only, and the Node of this machine as /usr/bin/node.
# PAILFS_SYSTEMD_LIFETIME: it ends by itself after so many seconds (7200).
# PAILFS_SYSTEMD_DIR: where it is kept (by default a directory in TMPDIR); two directories are two machines.
set -euo pipefail

# Seconds until systemd has to have booted, and until it has to have shut down.
BOOT_SECONDS=60
OFF_SECONDS=60
# Changes when what is installed does.
EDITION=1

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self="$root/scripts/systemd-root.sh"
tools=/var/cache/pailfs-ci/systemd
base="${PAILFS_SYSTEMD_DIR:-${TMPDIR:-/tmp}/pailfs-systemd}"
machine="$base/root"

say() { echo "systemd-root: $*" >&2; }
die() { say "$*"; exit 1; }

usage() {
  sed -n '2,/^set /{/^# \{0,1\}/s///p}' "$self" >&2
  exit 2
}

# The installed system, copied for each machine: built once, under the name of the release of this machine (a Node that
# is linked against a newer libc than the root has would not start).
release() { (. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}"); }
pristine="$tools/$(release)-$EDITION"

install_root() {
  [ "$(uname -s)" = Linux ] && [ "$(id -u)" -eq 0 ] || die "it takes Linux and root"
  mkdir -p "$tools"
  (
    flock -w 1200 9 || die "another installation did not end"
    [ -d "$pristine" ] && exit
    if ! command -v debootstrap >/dev/null; then
      command -v apt-get >/dev/null || die "debootstrap is not here, nor apt-get"
      say "installing debootstrap"
      export DEBIAN_FRONTEND=noninteractive
      local quiet=(-qq -o DPkg::Lock::Timeout=120)
      apt-get "${quiet[@]}" install -y debootstrap >/dev/null 2>&1 9>&- || {
        apt-get "${quiet[@]}" update >&2 9>&-
        apt-get "${quiet[@]}" install -y debootstrap >&2 9>&-
      }
    fi
    say "making a root of Debian $(release) (a minute)"
    local new="$pristine.new" packages=systemd,systemd-sysv,dbus,fuse3,libstdc++6
    rm -rf --one-file-system "$new"
    debootstrap --variant=minbase "--include=$packages" "$(release)" "$new" >"$tools/debootstrap.log" 2>&1 9>&- || {
      tail -n 20 "$tools/debootstrap.log" >&2
      die "debootstrap failed"
    }
    rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
    mv "$new" "$pristine"
  ) 9>"$tools/.lock"
}

# Processes are known by number and start time, so that a number that came round again is never ended.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Prints the number of the systemd that runs; nothing where none does.
init() {
  local pid start
  [ -e "$base/init" ] || return 0
  read -r pid start <"$base/init"
  [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] && echo "$pid"
  return 0
}

run() {
  local pid
  pid=$(init)
  [ -n "$pid" ] || die "it is not running"
  exec nsenter -t "$pid" -m -u -i -p -C -- env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# Waits until systemd is gone, and with it whatever ran there.
await_end() {
  local waited
  for waited in $(seq "$(($1 * 10))"); do
    [ -e "$base/launcher" ] && kill -0 "$(cat "$base/launcher")" 2>/dev/null || return 0
    sleep 0.1
  done
  return 1
}

off() {
  [ -n "$(init)" ] || return 0
  # The connection to it ends with the shutdown.
  ("$self" run systemctl poweroff >/dev/null 2>&1) || true
  if ! await_end "$OFF_SECONDS"; then
    say "it does not shut down"
    ("$self" run systemctl list-jobs --no-pager >&2) || true
    kill_all
    return 1
  fi
  rm -f "$base/init" "$base/launcher"
}

kill_all() {
  local pid
  pid=$(init)
  # The end of process 1 ends all of its namespace.
  [ -z "$pid" ] || kill -KILL "$pid"
  await_end 20 || die "it does not end"
  rm -f "$base/init" "$base/launcher"
}

down() {
  [ -d "$base" ] || return 0
  kill_all
  rm -rf --one-file-system "$base"
}

# What only reaches the machine outside is not for this systemd: its kernel's variables, modules, clock and devices.
prepare() {
  local new=$1 device link
  mount --bind "$new" "$new"
  mount -t sysfs -o ro sysfs "$new/sys"
  mount -t tmpfs -o mode=755 tmpfs "$new/dev"
  for device in null zero full random urandom tty fuse; do
    [ -e "/dev/$device" ] || die "there is no /dev/$device"
    touch "$new/dev/$device"
    mount --bind "/dev/$device" "$new/dev/$device"
  done
  for link in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2 ptmx:pts/ptmx; do
    ln -s "${link#*:}" "$new/dev/${link%%:*}"
  done
  mkdir "$new/dev/pts" "$new/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$new/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$new/dev/shm"
  mount -t tmpfs -o mode=755 tmpfs "$new/run"
  mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
  touch "$new/usr/bin/node"
  mount --bind "$(readlink -f "$(command -v node)")" "$new/usr/bin/node"
  share "$root" "$new/opt/pailfs"
  # A checkout may have its packages elsewhere, by a symbolic link.
  local packages
  packages=$(readlink -f "$root/node_modules")
  [ "$packages" = "$root/node_modules" ] || share "$packages" "$new$packages"
}

share() {
  mkdir -p "$2"
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}

# Process 1 of the new namespaces, until it becomes systemd.
begin() {
  local capability drop=-sys_module,-sys_time,-sys_rawio,-syslog
  mount --make-rprivate /
  prepare "$machine"
  mount -t proc proc "$machine/proc"
  mount --bind "$machine/proc/sys" "$machine/proc/sys"
  mount -o remount,bind,ro "$machine/proc/sys"
  mount -t cgroup2 cgroup2 "$machine/sys/fs/cgroup"
  mkdir -p "$machine/.outside"
  cd "$machine"
  pivot_root . .outside
  umount -l /.outside
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=pailfs \
    setpriv "--bounding-set=$drop" "--inh-caps=$drop" /lib/systemd/systemd
}

# Stays outside, in a mount namespace of its own, until systemd has ended; then takes its control group away.
launch() {
  local group status=0 inner
  mount --make-rprivate /
  # A mount of somebody else, of another test, would not end as long as there is a copy of it here.
  awk '$3 ~ /^fuse/ { print $2 }' /proc/self/mounts | while read -r place; do umount -l "$place" || true; done
  mkdir -p "$base/cgroup"
  mount -t cgroup2 cgroup2 "$base/cgroup"
  group="$base/cgroup/pailfs-systemd-$$"
  mkdir "$group"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --pid --mount --uts --ipc --cgroup --fork --kill-child "$self" begin
  ) &
  inner=$!
  local pid=
  while kill -0 "$inner" 2>/dev/null && [ -z "$pid" ]; do
    pid=$(pgrep -P "$inner" || true)
    [ -n "$pid" ] || sleep 0.02
  done
  echo "$pid $(started_at "$pid")" >"$base/init"
  # Nobody may be left to take it down.
  sleep "${PAILFS_SYSTEMD_LIFETIME:-7200}" &
  local limit=$!
  wait -n "$inner" "$limit" || status=$?
  kill "$limit" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
  wait "$inner" || true
  find "$group" -depth -type d -exec rmdir {} + || true
  exit "$status"
}

up() {
  local state waited begun=$SECONDS
  [ -z "$(init)" ] || die "it is running already"
  [ -e "$root/dist/src/cli.js" ] || (cd "$root" && node scripts/build.js >&2)
  install_root
  mkdir -p "$base"
  chmod 700 "$base"
  if ! [ -d "$machine" ]; then
    cp -a "$pristine" "$base/root.new"
    ln -s /opt/pailfs/bin/pailfs.js "$base/root.new/usr/bin/pailfs"
    echo pailfs-test >"$base/root.new/etc/hostname"
    mv "$base/root.new" "$machine"
  fi
  setsid unshare --mount "$self" launch </dev/null >"$base/launch.log" 2>&1 &
  echo $! >"$base/launcher"
  for waited in $(seq "$((BOOT_SECONDS * 5))"); do
    state=$( ("$self" run systemctl is-system-running) 2>/dev/null) || true
    case "$state" in running | degraded) break ;; esac
    kill -0 "$(cat "$base/launcher")" 2>/dev/null || break
    sleep 0.2
  done
  case "$state" in
    running | degraded) say "$state after $((SECONDS - begun)) s" ;;
    *)
      cat "$base/launch.log" >&2
      ("$self" run journalctl -b --no-pager -n 40 >&2) || true
      kill_all
      die "it did not boot: ${state:-no answer}"
      ;;
  esac
}

action=${1:-}
[ $# -eq 0 ] || shift
case "$action" in
  up | off | down | launch | begin) [ $# -eq 0 ] || usage; "$action" ;;
  run) [ $# -gt 0 ] || usage; run "$@" ;;
  install) install_root ;;
  *) usage ;;
esac
