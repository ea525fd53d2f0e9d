#!/usr/bin/env bash
# Other programs that mount a bucket, for the benchmark to stand beside (docs/benchmarks.md).
#
#   scripts/peers.sh install NAME   installs or builds it, once
#   scripts/peers.sh program NAME   prints where the program is, installed if need be
#   scripts/peers.sh version NAME   prints its version, installed if need be
#
# NAME: s3fs and rclone-deb (Debian's packages), rclone (Go module, which is newer), and mount-s3, geesefs, goofys, which
# no registry has as a package and which are taken from PATH.
set -euo pipefail

RCLONE_VERSION=v1.76.0

self=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/peers.sh
action=${1:-}
name=${2:-}
source "${self%/*}/install.sh"

case "$action" in install | program | version) ;; *) usage ;; esac
case "$name" in s3fs | rclone | rclone-deb | mount-s3 | geesefs | goofys) ;; *) usage ;; esac
tools="$installed/peers"

# Prints the path of the program.
program() {
  local path
  case "$name" in
    s3fs)
      command -v s3fs >/dev/null || apt_install s3fs
      path=$(command -v s3fs) || die "s3fs is not there after its installation"
      ;;
    rclone-deb)
      [ -x /usr/bin/rclone ] || apt_install rclone
      command -v fusermount3 >/dev/null || apt_install fuse3
      path=/usr/bin/rclone
      ;;
    rclone)
      path="$tools/rclone-$RCLONE_VERSION/rclone"
      [ -x "$path" ] || go_install github.com/rclone/rclone "$RCLONE_VERSION" "${path%/*}"
      # `rclone mount` calls fusermount3.
      command -v fusermount3 >/dev/null || apt_install fuse3
      ;;
    *)
      path=$(command -v "$name") || die "$name is not to be had: it has no package, and is not in PATH"
      ;;
  esac
  [ -x "$path" ] || die "$path is not there after its installation"
  echo "$path"
}

# One line.
version() {
  local path
  path=$(program_installed_in "$tools")
  case "$name" in
    s3fs) "$path" --version | sed -n '1s/.*V\([0-9.]*\).*/\1/p' ;;
    rclone | rclone-deb) "$path" version | sed -n '1s/^rclone v//p' ;;
    *) { "$path" --version 2>&1 || true; } | sed -n '1s/.*[^0-9.]\([0-9][0-9.]*[0-9]\).*/\1/p' ;;
  esac
}

case "$action" in
  install) program_installed_in "$tools" >/dev/null ;;
  program) program_installed_in "$tools" ;;
  version) version ;;
esac
