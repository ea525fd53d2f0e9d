#!/usr/bin/env bash
# Programs that people run on a disk, each with a check of its own, in any directory: what passes on a local disk has to pass
# on a mount (docs/long-tests.md, "Programs").
#
#   scripts/programs.sh DIR [--only a,b] [--short] [--limit SECONDS]
#                                           in sub-directories of DIR, which are removed again
#   scripts/programs.sh --mount [--only a,b] [--short] [--server NAME] [--write-back on|off] [-o WORDS] [--log FILE]
#                                           on a mount of a new bucket, and again from the store, with nothing cached
#   scripts/programs.sh --list              names
#
# NAME: what scripts/s3-server.sh knows (embedded); WORDS: options of the mount; FILE gets what the daemons say. One line a
# program: `ok NAME (seconds)` or `FAILED NAME: why`; the last line is `N passed, N failed`. What is not installed is, from
# Debian's packages. --limit: seconds for each, instead of its own.
#
# A program is scripts/programs/NAME.sh: `needs` (command:package), `limit` (seconds), `work`, and `again`, which looks at
# what `work` left. They run in an empty directory of their own; `$beside` is another one, on the local disk.
#
#   scripts/programs.sh DIR --phase work|again --beside LOCAL [--only a,b] [--short]
#                                           one half alone: `again` removes what `work` left (what --mount calls)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self="$root/scripts/programs.sh"
name=programs
source "$root/scripts/install.sh"
source "$root/scripts/programs/checks.sh"

# The short ones first.
all=(find sed mv zip vim cp tar rsync make npm lmdb leveldb sqlite git fio stress-ng postgres)
# Seconds until one that was told to end is killed, and until one that cannot be killed is left behind.
PATIENCE=10

list() { printf '%s\n' "${all[@]}"; }

export short=no
directory='' only='' phase=both beside='' most='' on_mount=no passed_on=()
while [ $# -gt 0 ]; do
  case "$1" in
    --list) list && exit ;;
    --mount) on_mount=yes ;;
    --short) short=yes && passed_on+=("$1") ;;
    --only) only=${2:?} && shift ;;
    --phase) phase=${2:?} && shift ;;
    --beside) beside=${2:?} && shift ;;
    --limit) most=${2:?} && shift ;;
    --server | --write-back | --log | -o) passed_on+=("$1" "${2:?}") && shift ;;
    -*) usage ;;
    *) [ -z "$directory" ] || usage && directory=$1 ;;
  esac
  shift
done
case "$phase" in both | work | again) ;; *) usage ;; esac

chosen=("${all[@]}")
if [ -n "$only" ]; then
  IFS=, read -ra chosen <<<"$only"
  for one in "${chosen[@]}"; do [[ " ${all[*]} " == *" $one "* ]] || die "there is no program $one (--list)"; done
fi

# Prints the seconds that NAME may take.
limit_of() (
  place='' beside=''
  source "$root/scripts/programs/$1.sh"
  echo "$limit"
)

# Prints the packages that NAME lacks.
lacking() (
  place='' beside=''
  source "$root/scripts/programs/$1.sh"
  for need in "${needs[@]}"; do
    # What is no command is a path, which may be a pattern.
    command -v "${need%:*}" >/dev/null || compgen -G "${need%:*}" >/dev/null || echo "${need##*:}"
  done
)

# At once, where there is something to install. One that is not to be had fails where it is needed.
install_what_lacks() {
  local packages=()
  mapfile -t packages < <(for one in "${chosen[@]}"; do lacking "$one"; done | sort -u)
  [ ${#packages[@]} -gt 0 ] || return 0
  if [[ " ${packages[*]} " == *" postgresql "* && ! -e /etc/postgresql-common ]]; then
    # Debian's package makes and starts a server of its own, unless it finds this.
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  (apt_install "${packages[@]}") || for one in "${packages[@]}"; do (apt_install "$one") || true; done
}

install_what_lacks
if [ "$on_mount" = yes ]; then
  [ -z "$directory" ] || usage
  exec node "$root/scripts/test-programs.js" --only "$(IFS=, && echo "${chosen[*]}")" "${passed_on[@]}"
fi
[ -n "$directory" ] || usage
# Nothing here but what has a limit may touch it.
[[ "$directory" == /* ]] || directory="$PWD/$directory"

running='' own=''
end() {
  [ -z "$running" ] || kill -TERM -- "-$running" 2>/dev/null || true
  [ -z "$own" ] || rm -rf "$own"
}
trap end EXIT
trap 'exit 1' INT TERM
if [ -z "$beside" ]; then
  own=$(mktemp -d -t pailfs-programs-XXXXXX)
  beside=$own
  # PostgreSQL runs as somebody else.
  chmod 755 "$own"
fi

# run NAME work|again|remove: with a limit, in a process group of its own. What it says is added to $beside/NAME.log; sets
# `why` where it fails.
run() {
  local limit status=0
  limit=${most:-$(limit_of "$1")}
  timeout -k "$PATIENCE" "$limit" bash "$root/scripts/programs/one.sh" "$1" "$2" "$directory/$1" "$beside/$1" \
    </dev/null >>"$beside/$1.log" 2>&1 &
  running=$!
  # A process that waits for a filesystem which answers nothing may not die of SIGKILL, and must not hang this.
  if ! timeout $((limit + 2 * PATIENCE)) tail --pid="$running" -s 0.1 -f /dev/null; then
    why="$2 took more than $limit s, and cannot be killed"
    return 1
  fi
  wait "$running" || status=$?
  # timeout(1) leads the group: what a program that failed left running ends too.
  kill -KILL -- "-$running" 2>/dev/null || true
  running=''
  case "$status" in
    0) ;;
    124 | 137) why="$2 took more than $limit s" ;;
    *) why=$(sed -n '/^why: /{s///p;q}' "$beside/$1.log") ;;
  esac
  return "$status"
}

try() {
  local missing
  : >"$beside/$1.log"
  missing=$(lacking "$1")
  if [ -n "$missing" ]; then
    why="not installed: $missing"
    return 1
  fi
  if [ "$phase" != again ]; then run "$1" work || return; fi
  if [ "$phase" != work ]; then run "$1" again || return; fi
}

passed=0 failed=0
for one in "${chosen[@]}"; do
  begun=$EPOCHREALTIME why=''
  if try "$one"; then outcome=ok; else outcome=FAILED; fi
  # What failed is removed too, but never what was there before.
  if [ -e "$beside/$one/made" ] && { [ "$phase" != work ] || [ "$outcome" = FAILED ]; }; then
    run "$one" remove || outcome=FAILED
  fi
  if [ "$outcome" = ok ]; then
    passed=$((passed + 1))
    awk -v a="$begun" -v b="$EPOCHREALTIME" -v name="$one" 'BEGIN { printf "ok %s (%.1f)\n", name, b - a }'
    sed -n 's/^note: /  /p' "$beside/$one.log"
  else
    failed=$((failed + 1))
    echo "FAILED $one: ${why:-it said nothing}"
    tail -n 20 "$beside/$one.log" | sed 's/^/  | /'
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
