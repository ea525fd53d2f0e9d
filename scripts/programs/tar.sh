# tar with xattrs and ACLs, in, within and out; an archive that grows at its end, and one with holes.
needs=(tar:tar setfacl:acl python3:python3)
limit=120

keep=(--xattrs --acls --format=posix --numeric-owner)

work() {
  make_tree
  # It keeps no sockets, and says so.
  rm "$beside/tree/socket"
  touch -d '2022-03-04 05:06:07.000000008' "$beside/tree"
  tar "${keep[@]}" -cf from-disk.tar -C "$beside/tree" .
  mkdir in
  tar "${keep[@]}" -xpf from-disk.tar -C in
  same_tree "$beside/tree" in 'out of an archive of the local tree'
  tar "${keep[@]}" -cSf again.tar -C in .
  mkdir within
  tar "${keep[@]}" -xpf again.tar -C within
  same_tree "$beside/tree" within 'out of an archive of that'
  # Appends, then takes something out of the middle.
  tar -rf again.tar -C "$beside/tree" a/file-7
  tar --delete -f again.tar ./a/file-9
  same 2 "$(tar -tf again.tar | grep -c 'a/file-7$')" 'what was appended'
  ! tar -tf again.tar | grep -q 'a/file-9$' || fail 'tar --delete left the file'
  tar "${keep[@]}" -czf "$beside/out.tgz" -C within .
  mkdir "$beside/out"
  tar "${keep[@]}" -xpzf "$beside/out.tgz" -C "$beside/out"
  same_tree "$beside/tree" "$beside/out" 'back on the local disk'
}

again() {
  same_tree "$beside/tree" in 'out of an archive of the local tree'
  same_tree "$beside/tree" within 'out of an archive of that'
  tar --compare -f from-disk.tar -C in
}
