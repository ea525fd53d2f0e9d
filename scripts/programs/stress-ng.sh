# stress-ng's stressors of filesystems, several at a time for some seconds, with what each can verify.
needs=(stress-ng:stress-ng)
limit=240

# Left out are link and those that begin with a hard link (one object is one file), and those that are about the kernel
# and not the filesystem below them (bind-mount, binderfs, dup, eventfd, fanotify, ioprio, procfs, ...), about one
# filesystem alone (chattr, fiemap, inode-flags, verity), or about all of the machine's (io, which calls sync(2)).
groups=(
  'access chdir chmod chown copy-file dentry'
  'dir dirdeep dirmany fallocate fcntl filename'
  'flock fpunch fsize fstat getdent hdd'
  'inotify iomix lease locka lockf'
  'mknod mmap msync readahead rename revio'
  'seek sendfile splice symlink sync-file touch'
  'utime xattr'
)

# Their files have a GiB otherwise.
sizes=(--copy-file-bytes 128M)
for one in fallocate hdd iomix readahead revio sync-file; do sizes+=("--$one-bytes" 8M); done

work() {
  local group one flags
  for group in "${groups[@]}"; do
    flags=()
    for one in $group; do flags+=("--$one" 1); done
    stress-ng --temp-path "$place" --verify --timeout "$(amount 5 1)" --quiet "${sizes[@]}" "${flags[@]}" ||
      fail "$group: $(stress_ng_says $?)"
    same '' "$(ls -A)" "what is left of $group"
  done
}

stress_ng_says() {
  case "$1" in
    2) echo 'one of them failed' ;;
    3 | 4) echo 'one of them could not be run here' ;;
    *) echo "ended with $1" ;;
  esac
}

again() { :; }
