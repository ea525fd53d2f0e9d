/**
 * `npm run test:two`: programs of two hosts work on the same files, and the oracle (oracle.ts) judges what they saw and what
 * is in the bucket. In rounds: each with a mount of its own on the same state and cache, every second one with TTLs of 0.
 * At the end of a round both hosts have to show what the bucket holds.
 */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../crash/content.js';
import { memoryVerdict } from '../crash/resident-memory.js';
import { onInterrupt, run } from '../mount/harness.js';
import { bytesOf, contentOver, parse } from './content.js';
import { Hosts } from './hosts.js';
import { isConflictCopy, judge, type Stored } from './oracle.js';
import { KEPT, type Step, type WorkerPlan } from './worker.js';

const ROUND_S = 25;
const PROGRAMS = 2;
/** `--open-ttl` of the rounds that take the defaults (ms), and what clocks and a busy machine may add. */
const OPEN_TTL_MS = 1_000;
const SLACK_MS = 50;
const ZERO_TTLS = ['--open-ttl', '0', '--metadata-ttl', '0', '--negative-ttl', '0'];
const SHOWN_PROBLEMS = 12;
const binary = fileURLToPath(new URL('../../../bin/pailfs.js', import.meta.url));
const script = fileURLToPath(new URL('./worker.js', import.meta.url));

class TwoRun {
  readonly initial: Record<string, string> = {};
  readonly steps: Step[] = [];
  passed = 0;
  failed = 0;

  constructor(
    readonly hosts: Hosts,
    readonly seed: number,
    readonly writeBack: string,
  ) {}

  async begin(): Promise<void> {
    for (const [path, size] of Object.entries(KEPT)) {
      const content = contentOver(`first-${path}`, undefined, size, size);
      await this.hosts.store.put(path, bytesOf(content));
      this.initial[path] = content.id;
    }
  }

  async round(number: number, seconds: number): Promise<void> {
    const isStrict = number % 2 === 0;
    const { hosts } = this;
    await hosts.mount(['--write-back', this.writeBack, '--part-size', '5MiB', ...(isStrict ? ZERO_TTLS : [])]);
    const logs = await this.#work(number, seconds);
    const steps = logs.flatMap((log) =>
      readFileSync(log, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Step),
    );
    this.steps.push(...steps);
    const problems = await this.#agree(isStrict);
    for (const host of hosts.both) await host.end();
    const stored = await this.#stored();
    // Of earlier rounds only what is lost or mixed can still come up.
    const staleMs = SLACK_MS + (isStrict ? 0 : OPEN_TTL_MS);
    const ofRound = judge({ steps, initial: this.initial, stored, staleMs }).filter(
      (problem) => !/nobody has written/.test(problem),
    );
    const ofAll = judge({ steps: this.steps, initial: this.initial, stored, staleMs: Number.POSITIVE_INFINITY });
    problems.push(...new Set([...ofRound.filter((problem) => !/is lost/.test(problem)), ...ofAll]));
    this.#tell(number, isStrict, steps, stored, problems);
  }

  async #work(number: number, seconds: number): Promise<string[]> {
    const random = new Random(this.seed * 1_000 + number);
    const plans = this.hosts.both.flatMap(({ name: host, mountpoint, directory }) => {
      const locks = join(directory, `locks-${number}`);
      mkdirSync(locks);
      return Array.from({ length: PROGRAMS }, (_, i): WorkerPlan => {
        const name = `${host}${i}r${number}`;
        const log = join(directory, `${name}.log`);
        closeSync(openSync(log, 'w'));
        return { host, name, mountpoint, locks, log, seed: random.seed(), seconds };
      });
    });
    const timeout = (seconds + 60) * 1_000;
    const ended = await Promise.all(
      plans.map((plan) => run(process.execPath, [script, JSON.stringify(plan)], { timeout })),
    );
    for (const { code, stderr, timedOut } of ended)
      if (code !== 0) throw new Error(timedOut ? 'a program hangs' : `a program ended with ${code}: ${stderr}`);
    return plans.map(({ log }) => log);
  }

  /** Both hosts show what is in the bucket, once each has brought over what it had. */
  async #agree(isStrict: boolean): Promise<string[]> {
    const problems: string[] = [];
    for (const { daemonPlace, name } of this.hosts.both) {
      const sync = await run(process.execPath, [binary, 'sync', daemonPlace.mountpoint], {
        env: daemonPlace.env,
        timeout: 60_000,
      });
      if (sync.code !== 0) problems.push(`${name}: pailfs sync ended with ${sync.code}: ${sync.stderr}`);
    }
    if (!isStrict) await new Promise((done) => setTimeout(done, OPEN_TTL_MS + SLACK_MS));
    for (const path of Object.keys(KEPT)) {
      const body = (await this.hosts.store.get(path))?.body;
      const wanted = body === undefined ? 'nothing' : idOf(body);
      for (const { mountpoint, name } of this.hosts.both) {
        const copy = join(mountpoint, '..', 'copy');
        const copied = await run('cp', [join(mountpoint, path), copy], { timeout: 20_000 });
        const shown = copied.code === 0 ? idOf(readFileSync(copy)) : copied.stderr.trim();
        if (shown !== wanted) problems.push(`${name} shows ${shown} in ${path}, and the bucket has ${wanted}`);
      }
    }
    return problems;
  }

  async #stored(): Promise<Map<string, Stored>> {
    const stored = new Map<string, Stored>();
    for (const key of await this.hosts.store.keys()) {
      if (key.endsWith('/')) continue;
      const body = (await this.hosts.store.get(key))?.body ?? Buffer.alloc(0);
      try {
        stored.set(key, parse(body));
      } catch (error) {
        stored.set(key, { problem: (error as Error).message });
      }
    }
    return stored;
  }

  #tell(
    number: number,
    isStrict: boolean,
    steps: readonly Step[],
    stored: ReadonlyMap<string, Stored>,
    problems: string[],
  ) {
    const conflicts = [...stored.keys()].filter(isConflictCopy).length;
    const writes = steps.filter(({ op, outcome }) => op === 'write' && outcome === 'ok');
    const synced = writes.filter(({ isSynced }) => isSynced).length;
    const what = `${steps.length} operations, ${writes.length} writes (${synced} synced), ${conflicts} conflict copies so far`;
    console.log(
      `${problems.length === 0 ? 'ok    ' : 'FAILED'} round ${number} (${isStrict ? 'TTLs of 0' : 'default TTLs'}): ${what}`,
    );
    for (const problem of problems.slice(0, SHOWN_PROBLEMS)) console.log(`  ${problem}`);
    if (problems.length > SHOWN_PROBLEMS) console.log(`  and ${problems.length - SHOWN_PROBLEMS} more`);
    if (problems.length === 0) this.passed++;
    else this.failed++;
  }

  /** A run in which nobody was in anybody's way has shown nothing. */
  async end(): Promise<void> {
    const conflicts = [...(await this.#stored()).keys()].filter(isConflictCopy).length;
    const stale = this.steps.filter(({ outcome }) => outcome === 'ESTALE').length;
    const others = this.steps.filter(
      ({ host, content }) => content?.parent !== undefined && !content.parent.startsWith(host),
    );
    const isReal = conflicts > 0 && stale > 0 && others.length > 0;
    console.log(
      `${isReal ? 'ok    ' : 'FAILED'} the hosts met: ${conflicts} conflict copies, ${stale} ESTALE, ${others.length} writes over the other's`,
    );
    if (isReal) this.passed++;
    else this.failed++;
  }
}

function idOf(bytes: Buffer): string {
  try {
    return parse(bytes).id;
  } catch (error) {
    return (error as Error).message;
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'write-back': { type: 'string', default: 'on' },
      log: { type: 'string' },
    },
  });
  const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
  if (!Number.isInteger(seed) || !(seconds >= 1)) throw new Error('the options want whole numbers');
  console.log(`${seconds} seconds, --seed ${seed} --write-back ${values['write-back']}`);
  const hosts = await Hosts.open();
  const leave = onInterrupt(() => hosts.close());
  const two = new TwoRun(hosts, seed, values['write-back']);
  try {
    await two.begin();
    for (let number = 0, left = seconds; left > 0; number++, left -= ROUND_S)
      await two.round(number, Math.min(ROUND_S, left));
    await two.end();
  } catch (error) {
    two.failed++;
    console.log(`FAILED ${(error as Error).stack}`);
  } finally {
    if (values.log !== undefined)
      writeFileSync(values.log, two.steps.map((step) => `${JSON.stringify(step)}\n`).join(''));
    leave();
    await hosts.close();
  }
  const memory = memoryVerdict();
  console.log(`${memory.ok ? 'ok    ' : 'FAILED'} ${memory.text}`);
  if (memory.ok) two.passed++;
  else two.failed++;
  console.log(`\n${two.passed} passed, ${two.failed} failed`);
  process.exitCode = two.failed === 0 ? 0 : 1;
}

await main();
