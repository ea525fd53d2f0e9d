# rsync -aAX with nanoseconds: the second run transfers nothing, by times and sizes, and by content.
needs=(rsync:rsync setfacl:acl python3:python3)
limit=120

# sync MORE... FROM TO: prints what it does. Without the last option it takes times of one second for the same.
sync() { rsync -aAXi --numeric-ids --modify-window=-1 "$@"; }

work() {
  make_tree
  sync "$beside/tree/" in/ >"$beside/first"
  grep -q 'a/file-7$' "$beside/first"
  same_tree "$beside/tree" in 'the copy'
  same '' "$(sync "$beside/tree/" in/)" 'the second run'
  same '' "$(sync --checksum "$beside/tree/" in/)" 'by content'
  sync in/ within/ >/dev/null
  same '' "$(sync --checksum --delete in/ within/)" 'within the directory'
  change
  same '' "$(sync --checksum --delete "$beside/tree/" in/)" 'after all'
  same_tree "$beside/tree" in 'after all'
  sync in/ "$beside/back/" >/dev/null
  same_tree "$beside/tree" "$beside/back" 'back on the local disk'
}

# What changed is found: content, an attribute, a name; large files in part, in place.
change() {
  echo more >>"$beside/tree/a/file-10"
  chmod 604 "$beside/tree/a/file-11"
  rm "$beside/tree/a/file-12"
  printf change | dd of="$beside/tree/a/b/c/large" conv=notrunc bs=1 seek=3000000 status=none
  same '*deleting a/file-12' "$(sync --delete -n "$beside/tree/" in/ | grep deleting | tr -s ' ')" 'what is removed'
  same '.f...p..... a/file-11' "$(sync -n "$beside/tree/" in/ | grep file-11)" 'what has another mode'
  same 3 "$(sync -n "$beside/tree/" in/ | grep -c '^[.>]f')" 'what changed'
  sync --delete --inplace --no-whole-file "$beside/tree/" in/ >/dev/null
}

again() {
  same '' "$(sync "$beside/tree/" in/)" 'by times and sizes'
  same '' "$(sync --checksum --delete "$beside/tree/" in/)" 'by content'
  same '' "$(sync --checksum in/ "$beside/back/")" 'back, by content'
}
