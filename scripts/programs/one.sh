# Runs one half of a program: one.sh NAME work|again|remove PLACE BESIDE. It begins in PLACE, which `work` finds empty.
set -Eeuo pipefail

programs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1 half=$2 place=$3 beside=$4
source "$programs/checks.sh"
trap 'told "$LINENO" "$BASH_COMMAND" "$?" "${BASH_SOURCE[0]}"' ERR
# What a program has to say when it failed.
aftermath() { :; }
trap '[ $? -eq 0 ] || aftermath' EXIT
source "$programs/$name.sh"
case "$half" in
  work)
    mkdir "$beside"
    mkdir "$place"
    : >"$beside/made"
    cd "$place"
    work
    ;;
  again)
    cd "$place"
    again
    ;;
  remove)
    rm -rf "$place"
    [ ! -e "$place" ] || fail "$place is still there after rm -rf"
    ;;
esac
