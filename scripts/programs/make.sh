# make -j of a C project: what is newer is made, and nothing else, also after a header changed.
needs=(make:make cc:gcc /usr/include/stdlib.h:libc6-dev)
limit=120

files=$(amount 40 12)

project() {
  mkdir src
  local i
  for i in $(seq "$files"); do
    printf 'int part_%d(void);\n' "$i" >"src/part_$i.h"
    printf '#include "part_%d.h"\n#include "config.h"\nint part_%d(void) { return %d * FACTOR; }\n' "$i" "$i" "$i" >"src/part_$i.c"
  done
  echo '#define FACTOR 1' >src/config.h
  {
    seq -f '#include "part_%g.h"' "$files"
    printf '#include <stdio.h>\nint main(void) {\n  int sum = 0;\n'
    seq -f '  sum += part_%g();' "$files"
    printf '  printf("%%d\\n", sum);\n  return 0;\n}\n'
  } >src/main.c
  cat >Makefile <<'MAKEFILE'
CFLAGS = -O1 -g -MMD -Isrc
parts = $(patsubst src/%.c,build/%.o,$(wildcard src/part_*.c))
build/sum: build/main.o build/libparts.a
	$(CC) -o $@ $^
build/libparts.a: $(parts)
	$(AR) rcs $@ $^
build/%.o: src/%.c | build
	$(CC) $(CFLAGS) -c -o $@ $<
	@echo $< >>made
build:
	mkdir -p $@
clean:
	rm -rf build
-include $(wildcard build/*.d)
MAKEFILE
}

# How many files the next make compiles.
compiled() {
  rm -f made
  make -j4 >/dev/null
  if [ -e made ]; then wc -l <made; else echo 0; fi
}

work() {
  local sum=$((files * (files + 1) / 2))
  project
  same $((files + 1)) "$(compiled)" 'compiled at first'
  same "$sum" "$(build/sum)" 'what the program says'
  make -q
  same 0 "$(compiled)" 'compiled again'
  touch src/part_3.h
  # Its own source, and main.c.
  same 2 "$(compiled)" 'compiled after a header changed'
  echo '#define FACTOR 2' >src/config.h
  same "$files" "$(compiled)" 'compiled after the header of all changed'
  same $((2 * sum)) "$(build/sum)" 'what the program says then'
  install -D -m 755 -s build/sum installed/bin/sum
  same $((2 * sum)) "$(installed/bin/sum)" 'what the installed program says'
  make clean >/dev/null
  [ ! -e build ]
  same $((files + 1)) "$(compiled)" 'compiled anew'
}

again() {
  make -q
  same 0 "$(compiled)" 'compiled again'
  same "$(build/sum)" "$(installed/bin/sum)" 'what the two programs say'
  touch src/config.h
  same "$files" "$(compiled)" 'compiled after the header of all changed'
}
