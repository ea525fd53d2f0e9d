/**
 * S3 is gone for a long time while the mount writes back: what is cached is read, writes go on until `--staging-size` is
 * reached and get ENOSPC then, what needs S3 ends after `--io-timeout`, who waits can be killed, and when S3 is back
 * everything goes on by itself.
 */
import { writeFileSync } from 'node:fs';
import { contentOf } from '../crash/content.js';
import { run, start } from '../mount/harness.js';
import type { Faults } from './faults.js';
import type { Possible } from './worker.js';

/** `--staging-size`, and in a short run (bytes). */
const STAGING = 16 * 2 ** 20;
const SHORT_STAGING = 6 * 2 ** 20;
/** `--io-timeout`, and what a request may take beyond it on a busy machine (ms). */
const IO_TIMEOUT_MS = 4_000;
const SLACK_MS = 4_000;
/** What a call that needs no store may take, and how soon a killed program is gone (ms). */
const AT_ONCE_MS = 1_500;
/** The store is asked again at the latest after this (ms). */
const RETRY_MS = 75_000;

const FILE_BYTES = 2 ** 20;
const contentFor = (number: number) => ({ seed: 1_000 + number, size: FILE_BYTES });

interface Ran {
  readonly code: number | null;
  readonly stderr: string;
  readonly stdout: string;
  readonly ms: number;
}

/** Runs Python in the mount; what it prints is one of 'ok' or the name of an errno. */
async function python(faults: Faults, script: string, timeout = 60_000): Promise<Ran> {
  const lines = script.split('\n').map((line) => `    ${line}`);
  const program = ['import os, sys, errno', `os.chdir(${JSON.stringify(faults.place.mountpoint)})`, 'try:', ...lines];
  program.push('    print("ok")', 'except OSError as error: print(errno.errorcode[error.errno])');
  const begun = performance.now();
  const { code, stdout, stderr } = await run('python3', ['-c', program.join('\n')], { timeout });
  return { code, stderr, stdout: stdout.trim(), ms: performance.now() - begun };
}

class Outage {
  readonly problems: string[] = [];
  readonly possible: Possible = {};

  constructor(readonly faults: Faults) {}

  get staging(): number {
    return this.faults.plan.share < 1 ? SHORT_STAGING : STAGING;
  }

  async expect(what: string, script: string, wanted: string, limitMs: number): Promise<void> {
    const { stdout, stderr, ms } = await python(this.faults, script);
    if (stdout !== wanted) this.problems.push(`${what}: ${stdout} in place of ${wanted} ${stderr}`);
    if (ms > limitMs) this.problems.push(`${what} took ${Math.round(ms)} ms`);
  }

  /** A file of its own content, written and closed; answers how that ended. */
  async write(number: number): Promise<Ran> {
    const { seed, size } = contentFor(number);
    const source = `${this.faults.directory}/source`;
    writeFileSync(source, contentOf(seed, size));
    const script = `data = open(${JSON.stringify(source)}, "rb").read()
fd = os.open("w${number}", os.O_CREAT | os.O_WRONLY)
try:
    at = 0
    while at < len(data): at += os.write(fd, data[at:at + 131072])
finally: os.close(fd)`;
    return python(this.faults, script);
  }

  /** Until the staging limit is reached: every write answers at once, and the last with ENOSPC. */
  async fill(): Promise<number> {
    for (let number = 0; number < (2 * this.staging) / FILE_BYTES; number++) {
      const { stdout, ms } = await this.write(number);
      if (ms > IO_TIMEOUT_MS + SLACK_MS) this.problems.push(`writing w${number} took ${Math.round(ms)} ms`);
      if (stdout === 'ok') this.possible[`w${number}`] = [contentFor(number)];
      else {
        this.possible[`w${number}`] = [{ ...contentFor(number), size: -1 }];
        if (stdout !== 'ENOSPC') this.problems.push(`w${number}: ${stdout} in place of ENOSPC`);
        return number;
      }
    }
    this.problems.push('the staging limit was never reached');
    return 0;
  }

  /** A program that waits for the store is killed. */
  async kill(what: string, script: string): Promise<void> {
    const program = `import os\nos.chdir(${JSON.stringify(this.faults.place.mountpoint)})\n${script}`;
    const waiting = start('python3', ['-c', program], { timeout: 60_000 });
    await new Promise((done) => setTimeout(done, 700));
    if (waiting.child.exitCode !== null) this.problems.push(`${what} did not wait`);
    const begun = performance.now();
    waiting.child.kill('SIGKILL');
    await waiting.result;
    const ms = performance.now() - begun;
    if (ms > AT_ONCE_MS) this.problems.push(`${what}: the program was gone ${Math.round(ms)} ms after SIGKILL`);
  }

  async untilDrained(): Promise<void> {
    for (const end = Date.now() + RETRY_MS; Date.now() < end; ) {
      const { dirty, waiting } = await this.faults.status();
      if (dirty.length + (waiting?.removals ?? 0) === 0) return;
      await new Promise((done) => setTimeout(done, 500));
    }
    const { dirty } = await this.faults.status();
    this.problems.push(`${dirty.length} files are not in S3 ${RETRY_MS / 1000} s after it came back`);
  }
}

export async function longOutage(faults: Faults): Promise<void> {
  if (!faults.isWriteBack) return;
  const outage = new Outage(faults);
  const { possible } = outage;
  await faults.replaceAll(faults.plan.seed);
  await faults.mount(['--staging-size', String(outage.staging), '--metadata-ttl', '10m', '--open-ttl', '10m']);
  await outage.expect(
    'reading before',
    'open("f0", "rb").read(); os.listdir("."); open("first", "w").close()',
    'ok',
    10_000,
  );
  possible.first = [{ seed: 0, size: 0 }];
  faults.server.faults.add({ match: {}, action: { kind: 'reset' } });
  const full = await outage.fill();
  const { seed } = faults.plan;
  // Removing, renaming and reading what is here go on; what is not here ends in time.
  await outage.expect('reading what is cached', 'open("f0", "rb").read()', 'ok', AT_ONCE_MS);
  await outage.expect('reading what waits', 'assert len(open("w0", "rb").read()) == 1048576', 'ok', AT_ONCE_MS);
  await outage.expect('a rename', 'os.rename("w1", "renamed")', 'ok', AT_ONCE_MS);
  possible.renamed = possible.w1;
  possible.w1 = [null];
  await outage.expect('unlink', 'os.unlink("w0")', 'ok', AT_ONCE_MS);
  possible.w0 = [null];
  await outage.expect('mkdir', 'os.mkdir("dir"); open("dir/small", "w").close()', 'ok', AT_ONCE_MS);
  possible['dir/'] = [{ seed, size: 0 }];
  possible['dir/small'] = [{ seed, size: 0 }];
  await outage.expect('what is not cached', 'open("f11", "rb").read()', 'EIO', IO_TIMEOUT_MS + SLACK_MS);
  await outage.expect('fsync', 'os.fsync(os.open("w2", os.O_RDWR))', 'EIO', IO_TIMEOUT_MS + SLACK_MS);
  faults.server.faults.clear();
  // A server that takes the connection and says nothing is the worse one.
  faults.server.faults.add({ match: {}, action: { kind: 'delay', ms: 20_000 } });
  await outage.kill('reading', 'open("f10", "rb").read()');
  await outage.kill('fsync', 'os.fsync(os.open("w3", os.O_RDWR))');
  if (!(await faults.isInStatus())) outage.problems.push('status does not tell of it');
  faults.server.faults.clear();
  await outage.untilDrained();
  // What was removed made room again.
  const { stdout } = await outage.write(full);
  if (stdout !== 'ok') outage.problems.push(`writing again: ${stdout}`);
  possible[`w${full}`] = [contentFor(full)];
  faults.expectAlso(possible);
  outage.problems.push(...(await faults.settled()));
  faults.check(`S3 is gone for long: ${full} files of 1 MiB fit in ${outage.staging / 2 ** 20} MiB`, outage.problems);
  await faults.end('everything acknowledged is in S3, and the outage lost nothing');
}
