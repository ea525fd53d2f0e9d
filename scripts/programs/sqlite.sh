# SQLite with a rollback journal and with a write-ahead log: several processes move money between accounts, one is killed in
# the middle of a transaction; nothing is lost or made, and every transaction that was committed is there.
needs=(sqlite3:sqlite3)
limit=150

writers=4
transactions=$(amount 25 8)
accounts=100

sql() { sqlite3 -bail -cmd '.timeout 60000' "$@"; }

# transfers WRITER
transfers() {
  local i
  echo '.output /dev/null'
  echo 'PRAGMA synchronous = FULL;'
  for i in $(seq "$transactions"); do
    echo "BEGIN IMMEDIATE;
      UPDATE accounts SET balance = balance - $i WHERE id = $((1 + (i * 7 + $1) % accounts));
      UPDATE accounts SET balance = balance + $i WHERE id = $((1 + (i * 13 + $1 * 5) % accounts));
      INSERT INTO done VALUES ($1, $i, hex(randomblob(200)));
      COMMIT;"
  done
}

consistent() {
  same ok "$(sql "$1" 'PRAGMA integrity_check')" "$1: integrity_check"
  same "$2" "$(sql "$1" 'SELECT count(*) FROM done')" "$1: transactions"
  same "$((accounts * 1000))" "$(sql "$1" 'SELECT sum(balance) FROM accounts')" "$1: the sum of all accounts"
}

# A transaction that is larger than the cache, so that the file has changed, and its process is killed.
killed() {
  mkfifo "$beside/$1.commands"
  sqlite3 "$1" <"$beside/$1.commands" >/dev/null &
  local pid=$!
  exec 7>"$beside/$1.commands"
  cat >&7 <<SQL
PRAGMA cache_size = 5;
BEGIN IMMEDIATE;
UPDATE accounts SET balance = balance + 1000000;
UPDATE done SET filling = hex(randomblob(300));
.shell touch $beside/$1.changed
SQL
  wait_until 60 test -e "$beside/$1.changed"
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null || true
  exec 7>&-
}

# base NAME MODE
base() {
  local writer pids=()
  sql "$1" "PRAGMA journal_mode = $2; CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER);
    CREATE TABLE done (writer INTEGER, number INTEGER, filling TEXT, PRIMARY KEY (writer, number));
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $accounts)
    INSERT INTO accounts SELECT i, 1000 FROM n" >/dev/null
  for writer in $(seq "$writers"); do
    transfers "$writer" | sql "$1" &
    pids+=($!)
  done
  for writer in "${pids[@]}"; do wait "$writer"; done
  consistent "$1" $((writers * transactions))
  killed "$1"
  [ "$2" != DELETE ] || [ -s "$1-journal" ] || fail "$1: no journal was left"
  consistent "$1" $((writers * transactions))
}

work() {
  base rollback.db DELETE
  base ahead.db WAL
  # Back, and all pages written anew.
  sql ahead.db 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
  sql rollback.db VACUUM
  sql rollback.db ".backup copy.db"
}

again() {
  local one
  for one in rollback.db ahead.db copy.db; do
    consistent "$one" $((writers * transactions))
    sql "$one" "INSERT INTO done VALUES (99, 1, '')"
    consistent "$one" $((writers * transactions + 1))
  done
}
