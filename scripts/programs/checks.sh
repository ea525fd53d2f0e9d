# What the programs have in common: how one tells why it failed, and what trees are compared by. Sourced, not run.

# The first of these lines is why it failed.
told() { echo "why: ${4##*/}: line $1: \`${2%%$'\n'*}\` ended with $3" >&2; }

fail() {
  trap - ERR
  echo "why: $*" >&2
  exit 1
}

# same WANTED FOUND WHAT
same() { [ "$1" = "$2" ] || fail "$3: $2, wanted $1"; }

# What the run should tell, though it passed.
note() { echo "note: $*"; }

# amount FULL SHORT
amount() { if [ "$short" = yes ]; then echo "$2"; else echo "$1"; fi; }

# Debian's own where there are two: it has the packages.
python=$(command -v /usr/bin/python3 || echo python3)

is_root() { [ "$(id -u)" -eq 0 ]; }

# Whether files in DIRECTORY take POSIX ACLs.
takes_acls() {
  local probe="$1/.takes-acls" status=0
  : >"$probe"
  setfacl -m u:65533:r "$probe" 2>/dev/null || status=1
  rm "$probe"
  return "$status"
}

# wait_until SECONDS COMMAND...
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "not in time: $*"
    sleep 0.1
  done
}

# Every name below a directory with all that is kept of it, a line each; its content as a digest.
manifest() { "$python" "$programs/manifest.py" "$1"; }

# same_tree WANTED FOUND WHAT: two directories.
same_tree() {
  manifest "$1" >"$beside/wanted.manifest"
  manifest "$2" >"$beside/found.manifest"
  diff "$beside/wanted.manifest" "$beside/found.manifest" || fail "$3: not the same tree"
}

# A tree of all that a filesystem keeps, at $beside/tree: kinds of files, names, modes, owners, times, xattrs, ACLs. With
# ACLs only where this disk and the one that is tried have them.
make_tree() {
  local acls=no
  if takes_acls "$beside" && takes_acls "$PWD"; then acls=yes; else note "without ACLs, which the directory does not take"; fi
  "$python" "$programs/tree.py" "$beside/tree" "$(amount 60 20)"
  [ "$acls" = no ] || (
    cd "$beside/tree"
    setfacl -m u:1001:rwx,g:1002:r,m::rx a/file-1
    setfacl -m d:u:1001:rx,u:1003:rx a/b
  )
}
