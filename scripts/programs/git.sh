# git: clone, commit, merge, rebase, worktrees, push, gc, fsck.
needs=(git:git)
limit=150

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com
export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.com
# gc that a command starts would go on behind it.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=gc.auto GIT_CONFIG_VALUE_0=0

# commits NAME N: N commits in the present directory, in files of that name.
commits() {
  local i
  for i in $(seq "$2"); do
    mkdir -p "dir-$((i % 5))"
    seq "$i" $((i * 30)) >"dir-$((i % 5))/$1-$((i % 7)).txt"
    git add -A
    git commit -qm "$1 $i"
  done
}

source_repository() {
  mkdir "$beside/source" && cd "$beside/source"
  git init -q -b main
  git config receive.denyCurrentBranch ignore
  local i
  for i in $(seq "$(amount 300 40)"); do seq "$i" $((i * 20)) >"file-$i"; done
  ln -s file-1 link
  commits start "$(amount 20 8)"
  cd "$place"
}

clean() { same '' "$(git -C "$1" status --porcelain)" "status of $1"; }

work() {
  source_repository
  git clone -q "$beside/source" clone
  # On one filesystem it makes hard links, or copies where it cannot.
  git clone -q clone second
  clean second
  cd clone
  git checkout -q -b topic HEAD~5
  commits topic "$(amount 12 4)"
  git rebase -q main
  GIT_SEQUENCE_EDITOR='sed -i -e 2s/pick/fixup/' git rebase -q -i HEAD~4
  git worktree add -q ../tree -b side main
  (cd ../tree && commits side "$(amount 8 2)")
  git merge -q -m merged side
  echo change >>file-3
  git stash -q
  git stash pop -q
  git commit -qam 'after the stash'
  git mv file-4 moved
  git rm -q file-5
  git commit -qm 'names changed'
  git tag -a -m tagged v1
  git gc -q --prune=now
  git fsck --full --strict --no-progress
  git repack -q -a -d -f
  git push -q origin topic v1
  git worktree remove ../tree
  git worktree prune
  cd ..
  git -C second fetch -q origin
  git -C second checkout -q topic
  git -C second merge -q origin/main
  clean clone
  clean second
  git -C "$beside/source" fsck --full --strict --no-progress
  git -C clone log --all --format=%H%T >"$beside/commits"
}

again() {
  local one
  for one in clone second; do
    git -C "$one" fsck --full --strict --no-progress
    clean "$one"
  done
  git -C clone log --all --format=%H%T | cmp - "$beside/commits"
  # The files are what the commit says, apart from what the index knows of them.
  git -C clone archive HEAD | tar -x --one-top-level="$beside/files"
  diff -r --no-dereference --exclude=.git clone "$beside/files"
  (cd second && commits later 3)
  git clone -q "file://$place/second" third
  git -C third fsck --full --no-progress
}
