# vim: saves with and without a backup, in the file or under a new name, and recovers what a killed one had not saved.
needs=(vim:vim)
limit=60

edit() { vim -N -u NONE -i NONE -n -es "$@" </dev/null; }

work() {
  seq 1000 >text
  chmod 640 text
  ! is_root || chown 1500:1600 text
  edit -c 'set nobackup nowritebackup' -c '%s/^5$/five/' -c wq text
  edit -c 'set backup backupskip= backupext=.before' -c '%s/^6$/six/' -c wq text
  edit -c 'set backupcopy=no' -c '%s/^7$/seven/' -c wq text
  edit -c 'set backupcopy=yes' -c '%s/^8$/eight/' -c wq text
  edit -c 'set undofile' -c '%s/^9$/nine/' -c wq text
  edit -c 'set fsync' -c '%s/^10$/ten/' -c 'w other' -c 'q!' text
  edit -c 'set undofile' -c 'silent undo' -c 'w undone' -c 'q!' text
  same five,six,seven,eight,nine,10, "$(sed -n 5,10p text | tr '\n' ,)" 'what was saved'
  same five,six,seven,eight,9,10, "$(sed -n 5,10p undone | tr '\n' ,)" 'what undo brought back'
  same five,6,7, "$(sed -n 5,7p text.before | tr '\n' ,)" 'the backup'
  same ten "$(sed -n 10p other)" 'under another name'
  same 640 "$(stat -c %a text)" 'mode'
  ! is_root || same 1500:1600 "$(stat -c %u:%g text)" 'owner'
  recover
  same '.text.un~ other text text.before undone' "$(ls -A | sort | tr '\n' ' ' | sed 's/ $//')" 'what is there'
}

# An editor with a swap file is killed; the next one takes its change from there.
recover() {
  mkfifo "$beside/keys"
  vim -N -u NONE -i NONE -es -c '%s/^20$/twenty/' -c preserve -c "call writefile([], '$beside/changed')" text <"$beside/keys" &
  local pid=$!
  exec 7>"$beside/keys"
  wait_until 20 test -e "$beside/changed"
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null || true
  exec 7>&-
  [ -e .text.swp ]
  vim -N -u NONE -i NONE -es -r text -c 'w! recovered' -c 'q!' </dev/null || true
  same twenty "$(sed -n 20p recovered)" 'what was recovered'
  same 20 "$(sed -n 20p text)" 'what was not saved'
  rm .text.swp recovered
}

again() {
  same five,six,seven,eight,nine,10, "$(sed -n 5,10p text | tr '\n' ,)" 'what was saved'
  same 9 "$(sed -n 9p undone)" 'what undo brought back'
  # Its undo file is as it was, or vim would not take it.
  edit -c 'set undofile' -c 'silent undo' -c 'w! undone' -c 'q!' text
  same 9 "$(sed -n 9p undone)" 'what undo brought back again'
}
