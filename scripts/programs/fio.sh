# fio: what four jobs write at random, by write(2), through a map and past the page cache, has the checksums that each block
# carries, when it is read back.
needs=(fio:fio)
limit=150

jobs() {
  cat <<JOBS
[global]
directory=$place
size=$(amount 16M 4M)
io_size=$(amount 8M 2M)
verify=crc32c
verify_fatal=1
verify_state_save=0
randrepeat=1
allrandrepeat=1
[write]
rw=randwrite
bsrange=1k-64k
ioengine=psync
numjobs=4
fsync=$(amount 200 100)
[map]
rw=randwrite
bs=4k
ioengine=mmap
numjobs=2
[queue]
rw=randwrite
bs=16k
ioengine=libaio
iodepth=8
[sequence]
rw=write
bs=256k
ioengine=psync
$direct
JOBS
}

# Whether the directory takes O_DIRECT.
takes_direct() { dd if=/dev/zero of="$place/direct" oflag=direct bs=4096 count=4 status=none 2>/dev/null; }

work() {
  local direct=''
  if takes_direct; then
    direct='[direct]
rw=randwrite
bs=4k
ioengine=libaio
iodepth=4
direct=1
numjobs=4'
  else
    note 'without O_DIRECT, which the directory does not take'
  fi
  rm -f direct
  jobs >"$beside/jobs.fio"
  fio --output="$beside/fio.out" "$beside/jobs.fio" || { tail -n 15 "$beside/fio.out"; fail 'fio found another content, or failed'; }
}

again() {
  fio --verify_only --output="$beside/fio.out" "$beside/jobs.fio" || { tail -n 15 "$beside/fio.out"; fail 'fio found another content'; }
}
