/**
 * Storms of renames with write-back, while uploads, copies and removals go on behind them: directories into and out of
 * each other, files over each other, names used again at once; and the daemon is killed. What programs see is compared
 * with a plain map of paths, the store with it at the end. PAILFS_STORM_SEED and PAILFS_STORM_ROUNDS choose others;
 * PAILFS_STORM_TRACE names a file for the operations and requests of one that fails.
 */
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { Lifeline } from './mortal-client.js';
import { TestVolume } from './volume-fixture.js';

const SEED = Number(process.env.PAILFS_STORM_SEED ?? 1);
const ROUNDS = Number(process.env.PAILFS_STORM_ROUNDS ?? 30);
const STEPS = 40;
const RENAME_EXCHANGE = 2;

/** The same numbers for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

class Storm {
  /** Content of a file; null: a directory. */
  readonly tree = new Map<string, string | null>();
  readonly log: string[] = [];
  /** Operations and requests. */
  readonly trace: string[] = [];
  readonly flushes: Promise<unknown>[] = [];
  lifeline!: Lifeline;
  #count = 0;

  constructor(
    readonly volume: TestVolume,
    readonly random: (below: number) => number,
  ) {}

  tell(line: string): void {
    this.log.push(line);
    this.trace.push(`# ${line}`);
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.random(from.length)];
  }

  paths(isDirectory: boolean): string[] {
    return [...this.tree].filter(([, content]) => (content === null) === isDirectory).map(([path]) => path);
  }

  below(directory: string): string[] {
    return [...this.tree.keys()].filter((path) => path.startsWith(`${directory}/`));
  }

  freeName(stem: string, count: number): string | undefined {
    const directory = this.pick(['', '', ...this.paths(true)]);
    const path = `${directory ? `${directory}/` : ''}${stem}${this.random(count)}`;
    return this.tree.has(path) || path.split('/').length > 4 ? undefined : path;
  }

  async put(path: string): Promise<void> {
    const content = `content ${this.#count++}`;
    await this.volume.write(path, content);
    this.tree.set(path, content);
  }

  async makeDirectory(): Promise<void> {
    const path = this.freeName('t', 5);
    if (path === undefined) return;
    this.tell(`mkdir ${path}`);
    await this.volume.mkdir(path);
    this.tree.set(path, null);
    for (let i = 0; i < 3; i++) await this.put(`${path}/c${i}`);
  }

  async moveDirectory(): Promise<void> {
    const from = this.pick(this.paths(true));
    const to = this.freeName('t', 5);
    if (from === undefined || to === undefined || to.startsWith(`${from}/`)) return;
    this.tell(`mv ${from}/ ${to}/`);
    await this.volume.rename(from, to);
    for (const path of [from, ...this.below(from)]) {
      this.tree.set(to + path.slice(from.length), this.tree.get(path) as string | null);
      this.tree.delete(path);
    }
  }

  async moveFile(): Promise<void> {
    const from = this.pick(this.paths(false));
    const to = this.random(2) === 0 ? this.pick(this.paths(false)) : this.freeName('m', 8);
    if (from === undefined || to === undefined || from === to) return;
    this.tell(`mv ${from} ${to}`);
    await this.volume.rename(from, to);
    this.tree.set(to, this.tree.get(from) as string);
    this.tree.delete(from);
  }

  async exchange(): Promise<void> {
    const [a, b] = [this.pick([...this.tree.keys()]), this.pick([...this.tree.keys()])];
    if (a === undefined || b === undefined || a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`)) return;
    this.tell(`exchange ${a} ${b}`);
    await this.volume.rename(a, b, RENAME_EXCHANGE);
    const all = [a, ...this.below(a), b, ...this.below(b)].map((path) => [path, this.tree.get(path)] as const);
    for (const [path] of all) this.tree.delete(path);
    for (const [path, content] of all) {
      const [from, to] = path === a || path.startsWith(`${a}/`) ? [a, b] : [b, a];
      this.tree.set(to + path.slice(from.length), content as string | null);
    }
  }

  async write(): Promise<void> {
    const path = this.random(2) === 0 ? this.pick(this.paths(false)) : this.freeName('n', 8);
    if (path === undefined) return;
    this.tell(`write ${path}`);
    await this.put(path);
  }

  async remove(): Promise<void> {
    const directory = this.random(2) === 0 && this.tree.size > 25 ? this.pick(this.paths(true)) : undefined;
    const path = directory ?? this.pick(this.paths(false));
    if (path === undefined) return;
    this.tell(`rm -r ${path}`);
    for (const one of [path, ...this.below(path)].sort().reverse()) {
      await (this.tree.get(one) === null ? this.volume.rmdir(one) : this.volume.unlink(one));
      this.tree.delete(one);
    }
  }

  /** Everything was acknowledged, so everything has to be there. */
  async kill(): Promise<void> {
    this.tell('kill');
    this.lifeline.kill();
    // What the dead daemon was waiting for never comes.
    this.flushes.length = 0;
    await this.mount((overrides) => this.volume.kill(overrides));
  }

  /** With a client of its own. */
  async mount(how: (overrides: { client: Lifeline['client']; writeBack: true }) => Promise<void>): Promise<void> {
    this.lifeline = new Lifeline(this.volume.client, this.random, this.trace);
    await how({ client: this.lifeline.client, writeBack: true });
  }

  async restart(): Promise<void> {
    this.tell('restart');
    await Promise.all(this.flushes.splice(0));
    await this.mount((overrides) => this.volume.remount(this.random(2) === 0, overrides));
  }

  async step(): Promise<void> {
    const roll = this.random(100);
    if (roll < 14 || this.paths(true).length < 2) await this.makeDirectory();
    else if (roll < 34) await this.moveDirectory();
    else if (roll < 38) await this.exchange();
    else if (roll < 56) await this.moveFile();
    else if (roll < 70) await this.write();
    else if (roll < 80) await this.remove();
    else if (roll < 91) {
      this.tell('begin to bring over');
      this.flushes.push(this.volume.fs.flushAll());
    } else if (roll < 95) this.volume.clock.advance(this.pick([500, 3_000, 70_000]) ?? 0);
    else if (roll < 96) await new Promise((resolve) => setTimeout(resolve, this.random(20)));
    else if (roll < 97) await this.restart();
    else await this.kill();
  }

  async compareTree(directory = ''): Promise<void> {
    const prefix = directory === '' ? '' : `${directory}/`;
    const expected = [...this.tree.keys()]
      .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
      .sort();
    const seen = (await this.volume.list(directory)).map((name) => prefix + name).sort();
    if (seen.join() !== expected.join()) throw new Error(`${directory}/ lists ${seen}, not ${expected}`);
    for (const path of expected) {
      const content = this.tree.get(path);
      if (content === null) await this.compareTree(path);
      else if ((await this.volume.read(path)) !== content) throw new Error(`${path} does not hold ${content}`);
    }
  }

  compareStore(): void {
    const { objects } = this.volume.memory;
    for (const [path, content] of this.tree)
      if (content !== null && this.volume.body(path) !== content) throw new Error(`the store has not ${path}`);
    for (const key of objects.keys()) {
      const content = this.tree.get(key.replace(/\/$/, ''));
      if (key.endsWith('/') ? content !== null : typeof content !== 'string')
        throw new Error(`the store has ${key}, which is not there`);
    }
    const { conflicts } = this.volume.fs.status();
    if (conflicts.length > 0) throw new Error(`nobody else wrote anything: ${JSON.stringify(conflicts)}`);
  }
}

async function round(seed: number): Promise<void> {
  const volume = new TestVolume();
  const storm = new Storm(volume, randomOf(seed));
  await storm.mount((overrides) => volume.mount(overrides));
  try {
    for (let i = 0; i < STEPS; i++) {
      await storm.step();
      if (i % 12 === 11) await storm.compareTree();
    }
    await storm.compareTree();
    for (let i = 0; i < 2; i++) await volume.fs.flushAll();
    await storm.compareTree();
    storm.compareStore();
  } catch (error) {
    const { dirty, waiting } = volume.fs.status();
    storm.trace.push(`# left: ${JSON.stringify({ dirty, waiting })}`);
    if (process.env.PAILFS_STORM_TRACE !== undefined)
      writeFileSync(process.env.PAILFS_STORM_TRACE, storm.trace.join('\n'));
    throw new Error(`PAILFS_STORM_SEED=${seed} PAILFS_STORM_ROUNDS=1\n${storm.log.join('\n')}`, { cause: error });
  } finally {
    await Promise.all(storm.flushes);
    await volume.close();
  }
}

t.test('storms of renames', { timeout: Math.max(300_000, ROUNDS * 2_000) }, async (t) => {
  for (let i = 0; i < ROUNDS; i++) await round(SEED + i);
  t.pass(`${ROUNDS} storms`);
});
