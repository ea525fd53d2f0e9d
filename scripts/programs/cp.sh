# cp -a, in, within and out: the trees are the same in all that a filesystem keeps.
needs=(cp:coreutils setfacl:acl python3:python3)
limit=120

work() {
  make_tree
  cp -a "$beside/tree" in
  same_tree "$beside/tree" in 'cp -a from the local disk'
  cp -a in within
  same_tree "$beside/tree" within 'cp -a within the directory'
  cp -a within "$beside/out"
  same_tree "$beside/tree" "$beside/out" 'cp -a back to the local disk'
  cp -a --sparse=always in/sparse sparse
  cmp in/sparse sparse
  cp -au "$beside/tree/." within
  same_tree "$beside/tree" within 'cp -au of what is not newer'
}

again() {
  same_tree "$beside/tree" in 'cp -a from the local disk'
  same_tree "$beside/tree" within 'cp -a within the directory'
}
