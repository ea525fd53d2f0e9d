# mv across directories, over files that are there, and to and from another filesystem, where it copies and removes.
needs=(mv:coreutils setfacl:acl python3:python3)
limit=120

work() {
  make_tree
  cp -a "$beside/tree" "$beside/coming"
  # Another filesystem, unless the directory is on the same one as the temporary files.
  mv "$beside/coming" here
  [ ! -e "$beside/coming" ]
  same_tree "$beside/tree" here 'from the local disk'
  mkdir -p one/two other
  mv here one/two/there
  mv one/two/there other/
  mv other/there one
  # There and back, which changes the times of the directories.
  touch -r one/there/a time-a
  touch -r one/there/a/b time-b
  mv one/there/a/file-3 one/there/a/b/
  mv one/there/a/b/file-3 one/there/a/
  touch -r time-a one/there/a
  touch -r time-b one/there/a/b
  same_tree "$beside/tree" one/there 'within the directory'
  # Over what is there, and not.
  echo new >new
  echo old >old
  mv -n new old
  same old "$(cat old)" 'mv -n'
  mv -f new old
  same new "$(cat old)" 'mv -f'
  [ ! -e new ]
  mkdir -p full/sub empty/full
  echo x >full/sub/x
  mv -T full empty/full
  same x "$(cat empty/full/sub/x)" 'mv -T over an empty directory'
  ! mv -T empty one 2>/dev/null || fail 'mv -T went over a full directory'
  mv one/there "$beside/back"
  [ ! -e one/there ]
  same_tree "$beside/tree" "$beside/back" 'back to the local disk'
  mv "$beside/back" again
}

again() {
  same_tree "$beside/tree" again 'what was moved'
}
