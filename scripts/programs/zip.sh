# zip, which goes back and forth in the archive, and Python's zipfile, which appends to one and rewrites its end.
needs=(zip:zip unzip:unzip python3:python3)
limit=90

look() {
  unzip -tqq base.zip >/dev/null
  same "$files" "$(unzip -Z1 base.zip | grep -c '^tree/f')" 'files in it'
  same second "$(unzip -p base.zip tree/f3)" 'what zip -u brought'
  ! unzip -Z1 base.zip | grep -q deleted || fail 'zip -d left a file'
  python3 - <<'PYTHON'
import zipfile
with zipfile.ZipFile('py.zip') as file:
    assert file.testzip() is None
    assert len(file.namelist()) == 60, len(file.namelist())
    with file.open('e59') as one:
        one.seek(-5, 2)
        assert one.read() == b'59end'
        one.seek(1000)
        assert one.read(3) == b'xxx'
PYTHON
}

work() {
  mkdir tree
  local i
  for i in $(seq "$files"); do seq "$i" $((i * 40)) >"tree/f$i"; done
  head -c 3000000 /dev/urandom >tree/random
  echo deleted >tree/deleted
  touch -d 2020-01-02 tree/f3
  zip -qr base.zip tree
  echo second >tree/f3
  touch -d 2021-01-02 tree/f3
  zip -qru base.zip tree
  zip -qd base.zip tree/deleted
  python3 - <<'PYTHON'
import zipfile
for i in range(60):
    with zipfile.ZipFile('py.zip', 'a', zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED) as file:
        # Sizes are written before the content once it is known.
        with file.open('e%d' % i, 'w') as one:
            one.write(b'x' * (i * 900))
            one.write(b'%dend' % i)
PYTHON
  rm tree/deleted
  unzip -q base.zip -d out
  diff -r tree out/tree
  look
}

again() { look; }
files=$(amount 60 20)
