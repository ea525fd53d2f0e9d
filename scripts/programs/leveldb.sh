# LevelDB: writes until it compacts, is killed, recovers its log, and all that was synced is there.
needs=('/usr/lib/python3/dist-packages/plyvel/*.so:python3-plyvel')
limit=120

look() { "$python" "$programs/leveldb_store.py" look; }

work() {
  "$python" "$programs/leveldb_store.py" write "$(amount 20000 5000)"
  look
}

again() { look; }
