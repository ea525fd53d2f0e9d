# PostgreSQL: initdb, pgbench, kill -9 of the server, recovery. What was committed is there, and the sums agree.
needs=('/usr/lib/postgresql/*/bin/initdb:postgresql' pgrep:procps setpriv:util-linux)
limit=240

bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1) || true
user=$(id -un)
if is_root; then user=postgres; fi
id "$user" >/dev/null 2>&1 || user=nobody
seconds=$(amount 6 2)

as_user=()
! is_root || as_user=(setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups)
as() { "${as_user[@]}" "$@"; }
psql() { as "$bin/psql" -h "$beside/socket" -U pg -X -qAt -v ON_ERROR_STOP=1 "$@"; }
pgbench() { as "$bin/pgbench" -h "$beside/socket" -U pg "$@" >"$beside/pgbench.out" 2>&1; }

answers() { as "$bin/pg_isready" -q -h "$beside/socket"; }

# The server is a child of this and in its process group, so that it ends when this is ended.
start() {
  "${as_user[@]}" "$bin/postgres" -D "$place/data" >>"$beside/postgres.out" 2>&1 &
  server=$!
  wait_until 60 answers
}

stop() {
  kill -INT "$server"
  wait "$server"
}

# Its children find out by themselves; a new server does not start before.
crash() {
  local children
  children=$(pgrep -P "$server" | tr '\n' ' ')
  kill -KILL "$server"
  wait "$server" 2>/dev/null || true
  for child in $children; do wait_until 30 has_ended "$child"; done
}

has_ended() { [ ! -e "/proc/$1" ]; }

consistent() {
  local sums
  sums=$(psql -d bench -c 'SELECT count(DISTINCT s) FROM (SELECT sum(abalance) s FROM pgbench_accounts
    UNION ALL SELECT sum(tbalance) FROM pgbench_tellers UNION ALL SELECT sum(bbalance) FROM pgbench_branches
    UNION ALL SELECT coalesce(sum(delta), 0) FROM pgbench_history) all_sums')
  same 1 "$sums" 'different sums of accounts, tellers, branches and history'
  same 100000 "$(psql -d bench -c 'SELECT count(*) FROM pgbench_accounts')" 'accounts'
  psql -d bench -c 'CREATE EXTENSION IF NOT EXISTS amcheck'
  psql -d bench -c "SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
    WHERE a.amname = 'btree' AND c.relpersistence = 'p'" >/dev/null
}

work() {
  if is_root; then chown "$user" . "$beside"; fi
  as mkdir "$beside/socket"
  local how=(-U pg -A trust -E UTF8 --locale=C --data-checksums)
  # Otherwise it ends with an fsync of each of a thousand files.
  [ "$short" = no ] || how+=(--no-sync)
  as "$bin/initdb" -D "$place/data" "${how[@]}" >"$beside/initdb.out" 2>&1
  as tee -a data/postgresql.conf >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$beside/socket'
max_connections = 20
CONF
  start
  psql -d postgres -c 'CREATE DATABASE bench'
  pgbench -i -q bench
  pgbench -n -c 4 -j 2 -T "$seconds" bench
  consistent
  psql -d bench -c 'CREATE TABLE acknowledged (number INTEGER PRIMARY KEY)'
  # One tells what it was told is committed, while the others go on.
  seq -f 'INSERT INTO acknowledged VALUES (%g) RETURNING number;' 100000 |
    psql -d bench >"$beside/acknowledged" 2>"$beside/psql.out" &
  local first=$!
  pgbench -n -c 4 -j 2 -T 60 bench &
  local second=$!
  sleep "$seconds"
  crash
  wait "$first" || true
  wait "$second" || true
  start
  grep -q 'database system was not properly shut down' "$beside/postgres.out"
  consistent
  local last
  last=$(tail -n 1 "$beside/acknowledged")
  [ "${last:-0}" -gt 0 ] || fail 'nothing was committed before the crash'
  [ "$(psql -d bench -c 'SELECT count(*) FROM acknowledged')" -ge "$last" ] || fail 'a commit is lost'
  psql -d bench -c 'VACUUM FULL pgbench_accounts' -c 'SELECT count(*), sum(delta) FROM pgbench_history' >"$beside/history"
  stop
  as "$bin/pg_checksums" --check -D data >/dev/null
}

again() {
  # Which asks the store for each of a thousand files.
  [ "$short" = yes ] || as "$bin/pg_checksums" --check -D data >/dev/null
  start
  consistent
  same "$(cat "$beside/history")" "$(psql -d bench -c 'SELECT count(*), sum(delta) FROM pgbench_history')" 'history'
  pgbench -n -c 2 -t 5 bench
  consistent
  stop
}

aftermath() { tail -n 12 "$beside/postgres.out"; }
