# find by times: what is newer than what, to the nanosecond, and by hand-set times.
needs=(find:findutils)
limit=60

# Names that are newer than FILE, in order, on one line.
newer() { find . -newer "$1" -name 'n*' | sort | tr '\n' ' '; }

look() {
  same './new-1 ./new-2 ./now ' "$(newer middle)" 'newer than middle'
  same './now ' "$(newer new-2)" 'newer than new-2'
  same './old-1' "$(find . -newermt '2001-02-03 04:05:06.123456788' ! -newermt '2001-02-03 04:05:06.123456789' -type f)" \
    'between two nanoseconds'
  same './old-1 ./old-2 ./middle ./new-1 ./new-2 ./now ' \
    "$(find . -type f -printf '%T@ %p\n' | sort -n | cut -d ' ' -f 2 | tr '\n' ' ')" 'in the order of time'
  same './old-2' "$(find . -type f -size +9c -size -11c -perm 640)" 'by size and mode'
}

work() {
  touch -d '2001-02-03 04:05:06.123456789' old-1
  printf 0123456789 >old-2
  chmod 640 old-2
  touch -d '2001-02-03 04:05:06.123456790' old-2
  touch -d '2020-01-01 00:00:00.5' middle
  touch -d '2020-01-01 00:00:00.500000001' new-1
  touch -r new-1 new-2
  touch -d '2020-01-01 00:00:01' new-2
  : >now
  look
  # A file that was just written is newer than one written before, and a write makes it newer again. A disk has the time of
  # the last tick of the kernel's clock.
  : >first
  sleep 0.02
  : >second
  same ./second "$(find . -newer first -name second)" 'the one that was made later'
  sleep 0.02
  echo more >first
  same ./first "$(find . -newer second -name first)" 'the one that was written last'
  same '' "$(find . -newer first -type f)" 'newer than what was written last'
  rm first second
}

again() { look; }
