#!/usr/bin/env bash
# What a filesystem has to do, asked by programs that are no part of this repository: pjdfstest (POSIX calls, from
# crates.io) and fsx (reads and writes at random, from crates.io), each in a pinned version, on a mount of the real binary.
#
#   scripts/conformance.sh pjdfstest [--server NAME]
#   scripts/conformance.sh fsx [--short] [--seed S] [--operations N] [--server NAME]
#   scripts/conformance.sh install          only builds the two
#
# Both take --write-back on|off. NAME: what scripts/s3-server.sh knows (embedded). The last line is `N passed, M failed`.
# As root: mount(2), and pjdfstest is about several users.
set -euo pipefail

PJDFSTEST_VERSION=0.2.2
FSX_VERSION=0.3.2

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self="$root/scripts/conformance.sh"
name=${1:-}
source "$root/scripts/install.sh"
case "$name" in pjdfstest | fsx | install) shift ;; *) usage ;; esac

tools="$installed/conformance"

# Rust 1.85 at least, which Debian 12 has under a name of its own. Where rustup puts it is not in everybody's PATH.
find_cargo() {
  PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
  command -v cargo >/dev/null || apt_install cargo-web rustc-web || apt_install cargo rustc
  command -v cargo >/dev/null || die "$name is built with cargo, which is not there after its installation"
}

# cargo_install CRATE VERSION: prints the path of the program of that name.
cargo_install() {
  local path="$tools/$1-$2/bin/$1"
  if ! [ -x "$path" ]; then
    find_cargo
    say "building $1 $2 (minutes)"
    # Its lock file pins what it is built from.
    nice cargo install --quiet --locked --root "$tools/$1-$2" "$1@$2" >&2
  fi
  [ -x "$path" ] || die "$path is not there after its installation"
  echo "$path"
}

program() {
  case "$name" in
    pjdfstest) cargo_install pjdfstest "$PJDFSTEST_VERSION" ;;
    fsx) cargo_install fsx "$FSX_VERSION" ;;
    install)
      cargo_install pjdfstest "$PJDFSTEST_VERSION"
      cargo_install fsx "$FSX_VERSION"
      ;;
  esac
}

# One that cannot be built counts as one failure.
if ! path=$(program_installed_in "$tools"); then
  echo "0 passed, 1 failed"
  exit 1
fi
[ "$name" != install ] || exit 0
exec node "$root/scripts/test-conformance.js" "$name" "$path" "$@"
