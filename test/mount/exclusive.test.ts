/** `--exclusive=s3` with two daemons of the real command on one bucket: programs race for the same names. */
import t from 'tap';
import { Hosts } from '../two/hosts.js';
import { run } from './harness.js';
import { onlyEmbedded } from './s3-place.js';

const skip = onlyEmbedded;
const NAMES = 200;
t.setTimeout(180_000);

/** Two processes meet before each name, and both try. Prints, for each kind, who of the two made each name. */
const RACE = `
import os, sys, json, ctypes
from multiprocessing import Barrier, Process, Queue
libc = ctypes.CDLL(None, use_errno=True)
def create(d, n): os.close(os.open(f"{d}/{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
def mkdir(d, n): os.mkdir(f"{d}/{n}")
def symlink(d, n): os.symlink("target", f"{d}/{n}")
def rename(d, n):
    own = f"{d}/own-{os.path.basename(os.path.dirname(d))}-{n}"
    if not os.path.exists(own): open(own, "w").close()
    if libc.renameat2(-100, own.encode(), -100, f"{d}/{n}".encode(), 1) != 0: raise OSError(ctypes.get_errno(), n)
kinds = {"create": (create, ${NAMES}), "mkdir": (mkdir, ${NAMES}), "symlink": (symlink, 40), "rename": (rename, 40)}
def racer(who, directory, barrier, answers):
    won = {kind: [] for kind in kinds}
    for kind, (make, count) in kinds.items():
        for i in range(count):
            barrier.wait(60)
            try:
                make(directory, f"{kind}-{i}")
                won[kind].append(i)
            except FileExistsError: pass
    answers.put((who, won))
barrier, answers = Barrier(2), Queue()
racers = [Process(target=racer, args=(who, sys.argv[who + 1], barrier, answers), daemon=True) for who in (0, 1)]
for one in racers: one.start()
print(json.dumps([won for _, won in sorted(answers.get(timeout=150) for _ in racers)]))
`;

for (const writeBack of ['off', 'on'])
  t.test(`write-back ${writeBack}: each name is made once`, { skip }, async (t) => {
    const hosts = await Hosts.open();
    try {
      await hosts.mount(['--write-back', writeBack, '--exclusive', 's3']);
      const { server } = hosts.store;
      server.requests.reset();
      const mountpoints = hosts.both.map(({ mountpoint }) => mountpoint);
      const race = await run('python3', ['-c', RACE, ...mountpoints], { timeout: 170_000 });
      t.equal(race.code, 0, race.stderr);
      const [a, b] = JSON.parse(race.stdout) as Array<Record<string, number[]>>;
      for (const [kind, count] of [
        ['create', NAMES],
        ['mkdir', NAMES],
        ['symlink', 40],
        ['rename', 40],
      ] as const) {
        const all = Array.from({ length: count }, (_, i) => i);
        t.same(
          [...a[kind], ...b[kind]].sort((x, y) => x - y),
          all,
          `${kind}: exactly one has made each (${a[kind].length} and ${b[kind].length})`,
        );
      }
      const refused = server.requests.log.filter(({ status }) => status === 412);
      t.ok(refused.length > 0, `${refused.length} were decided by the condition`);
      for (const host of hosts.both) await host.end();
      const keys = await hosts.store.keys();
      t.same(
        keys.filter((key) => key.includes('conflict')),
        [],
      );
      t.equal(keys.length, 2 * NAMES + 40 + 2 * 40, 'one object a name, and the files that kept theirs');
    } finally {
      await hosts.close();
    }
  });
