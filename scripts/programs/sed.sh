# sed -i: a new file takes the name of the old one, with its mode and owner.
needs=(sed:sed)
limit=60

look() {
  same "$files" "$(grep -lx 'line 2 is changed' text-* | wc -l)" 'changed files'
  same "$files" "$(grep -lx 'line 2 is old' text-*.before | wc -l)" 'kept copies'
  same "$files" "$(find . -name 'text-*[0-9]' -perm 750 -size +100c | wc -l)" 'files of the mode that they had'
  same "$((2 * files))" "$(find . -type f | wc -l)" 'files, and no temporary ones'
  ! is_root || same 1500:1600 "$(stat -c %u:%g text-1)" 'owner'
  # The same was done on the local disk.
  cat text-*[0-9] | cmp - "$beside/wanted"
}

work() {
  local i
  for i in $(seq "$files"); do seq -f "line %g is old" 1 $((20 + i)) >"text-$i"; done
  chmod 750 text-*
  ! is_root || chown 1500:1600 text-1
  cat text-*[0-9] | sed 's/old/changed/; s/ 7 /&&/g' >"$beside/wanted"
  sed -i.before 's/old/changed/' text-*
  sed -i 's/ 7 /&&/g' text-*[0-9]
  look
}

again() { look; }
files=$(amount 60 20)
