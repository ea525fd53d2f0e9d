/**
 * `npm run test:many`: a directory of a million objects that carry attributes, of which nothing is known here. What a program
 * waits for is the first page, however many follow, and memory is bounded. Prints figures, and
 * fails past the limits below.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MiB } from '../../src/constants.js';
import { RecordLog } from '../../src/embedded/record-log.js';
import { memoryVerdict, watchMemory } from '../crash/resident-memory.js';
import { residentMemory } from '../mount/daemon.js';
import { onInterrupt, run } from '../mount/harness.js';
import { BUCKET } from '../mount/s3-place.js';
import { Ground } from '../posix/ground.js';

/** Within which the first entry is there, on a mount that knows nothing (s). */
const FIRST_S = 1;
const LIMIT_MS = 1_200_000;
const SIZE = 10;
const SOME = 20_000;

const { values } = parseArgs({
  options: { entries: { type: 'string', default: '1000000' }, whole: { type: 'boolean', default: false } },
});
const entries = Number(values.entries);
if (!Number.isInteger(entries) || entries < 1) throw new Error('--entries is a number');

/** The embedded server's records, written past it: a million PUTs would take minutes. The content is a hole. */
function fill(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const log = new RecordLog(join(directory, 'records.jsonl'));
  log.open(() => {});
  const etag = createHash('md5').update(Buffer.alloc(SIZE)).digest('hex');
  const modified = Date.now() - 3_600_000;
  log.rewrite(
    (function* () {
      yield { do: 'bucket', bucket: BUCKET, created: modified } as const;
      for (let i = 0; i < entries; i++) {
        const metadata = {
          mode: String(0o100000 | (i % 0o1000)),
          uid: '1000',
          gid: '1001',
          mtime: `${1_500_000_000 + i}.25`,
        };
        const segments = [{ blob: null, offset: 0, length: SIZE }];
        const headers = { 'content-type': 'binary/octet-stream' };
        const record = {
          key: `many/${String(i).padStart(8, '0')}`,
          size: SIZE,
          etag,
          modified,
          segments,
          headers,
          metadata,
        };
        yield { do: 'put', bucket: BUCKET, record } as const;
      }
    })(),
  );
  log.close();
}

let passed = 0;
let failed = 0;
function judge(ok: boolean, text: string): void {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${text}`);
  if (ok) passed++;
  else failed++;
}

/** Runs a shell script in a mount that knows nothing; answers what it printed, and after how many seconds. */
async function cold(ground: Ground, attributes: string, script: string): Promise<{ out: string; seconds: number }> {
  await ground.mountCold(['--attributes', attributes]);
  const stop = ground.daemons().map(watchMemory);
  const begun = performance.now();
  const { code, stdout, stderr, timedOut } = await run('/bin/sh', ['-ec', script], {
    cwd: ground.mountpoint,
    timeout: LIMIT_MS,
  });
  const seconds = (performance.now() - begun) / 1000;
  if (code !== 0) throw new Error(`${script}: ${timedOut ? 'did not end' : stderr}`);
  const [pid] = ground.daemons();
  const { highest } = residentMemory(pid);
  console.log(`       ${Math.round(highest / MiB)} MiB resident at most`);
  await ground.umount();
  for (const end of stop) end();
  return { out: stdout.trim(), seconds };
}

const shown = (seconds: number): string => `${seconds.toFixed(2)} s`;

/** When the first lines of `ls -f` come out, though it is then still waiting for the next page. */
const FIRST_NAMES = `python3 -c "
import subprocess, time
begun = time.monotonic()
ls = subprocess.Popen(['ls', '-f', 'many'], stdout=subprocess.PIPE)
names = [ls.stdout.readline().decode().strip() for _ in range(3)]
print(time.monotonic() - begun, *names)
ls.kill()
ls.wait()"`;

/** The first getdents of `ls -l`, and the attributes of what it tells. */
const FIRST_LONG = `python3 -c "
import os, time
begun = time.monotonic()
entry = next(os.scandir('many'))
found = entry.stat(follow_symlinks=False)
print(time.monotonic() - begun, entry.name, oct(found.st_mode), found.st_uid, found.st_mtime_ns)"`;

async function look(ground: Ground): Promise<void> {
  // The server's first answers to a thousand requests are the slow ones of a program that was just started.
  await cold(ground, 'full', 'ls -f many | head -n 3');
  for (const attributes of ['auto', 'full', 'listing']) {
    const [seconds, ...names] = (await cold(ground, attributes, FIRST_NAMES)).out.split(' ');
    const isTrue = names.join(' ') === '. .. 00000000';
    const what = `--attributes=${attributes}: the first names of \`ls -f\` after ${shown(Number(seconds))}`;
    judge(isTrue && Number(seconds) < FIRST_S, what);
  }
  const { out } = await cold(ground, 'auto', FIRST_LONG);
  const [seconds, ...rest] = out.split(' ');
  const isTrue = rest.join(' ') === '00000000 0o100000 1000 1500000000250000000';
  judge(isTrue && Number(seconds) < FIRST_S, `the first entry of \`ls -l\`, as it is, after ${shown(Number(seconds))}`);
  const some = Math.min(SOME, entries);
  const begun = await cold(ground, 'auto', `ls -f many | head -n ${some} | wc -l`);
  judge(begun.out === String(some), `the first ${some}, each asked for its attributes, after ${shown(begun.seconds)}`);
  if (!values.whole) return;
  const plain = await cold(ground, 'listing', 'ls -f many | wc -l');
  judge(plain.out === String(entries + 2), `--attributes=listing: all ${entries} after ${shown(plain.seconds)}`);
  const all = await cold(ground, 'auto', 'ls -f many | wc -l');
  judge(all.out === String(entries + 2), `all ${entries}, each asked for its attributes, after ${shown(all.seconds)}`);
}

const started = performance.now();
const ground = await Ground.open([], fill);
console.log(`${entries} objects after ${shown((performance.now() - started) / 1000)}`);
const leave = onInterrupt(() => ground.close());
try {
  await look(ground);
} catch (error) {
  judge(false, `${(error as Error).stack}\n${ground.lastLines()}`);
} finally {
  leave();
  await ground.close();
}
const memory = memoryVerdict();
judge(memory.ok, memory.text);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
