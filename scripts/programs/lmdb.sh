# LMDB: several processes write through one memory map, one of them is killed, and all that was committed is there.
needs=('/usr/lib/python3/dist-packages/lmdb/*.so:python3-lmdb')
limit=120

look() { "$python" "$programs/lmdb_store.py" look "$@"; }

work() {
  "$python" "$programs/lmdb_store.py" write "$(amount 20 5)"
  look
}

again() { look; }
