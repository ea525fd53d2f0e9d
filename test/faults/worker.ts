/**
 * A program that works while the store or the disk misbehaves: `node worker.js DIRECTORY STATE SEED MS trouble|after`.
 * It knows of each file what may be in it: what was acknowledged last, or what an operation that failed since then wanted.
 * Whatever it reads has to be one of these. `trouble`: operations may fail, and are counted by errno, for MS milliseconds.
 * `after`: everything has to work again within MS, without a remount. Answers in JSON; STATE keeps what it knows.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { contentOf, Random } from '../crash/content.js';

export interface Content {
  readonly seed: number;
  readonly size: number;
}

/** What may be in a file; null: it may be absent. */
export type Possible = Record<string, Array<Content | null>>;

export interface WorkerAnswer {
  readonly problems: string[];
  readonly acknowledged: number;
  readonly errors: Record<string, number>;
}

export const FILES = 12;
/** Of these the last two are large enough for a multipart upload. */
export const LARGE = 2;
/** Share of the writes that fsync(2) ends: with write-back only these are told what their upload failed with. */
const SYNCED = 0.4;
export const nameOf = (file: number): string => `f${file}`;

class Worker {
  readonly problems: string[] = [];
  readonly errors: Record<string, number> = {};
  acknowledged = 0;

  constructor(
    readonly directory: string,
    readonly possible: Possible,
    readonly random: Random,
  ) {}

  at(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** `done` and `failed` say what may be there then; answers whether it went through. */
  attempt(work: () => void, done: () => void, failed: () => void): boolean {
    try {
      work();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      this.errors[code] = (this.errors[code] ?? 0) + 1;
      failed();
      return false;
    }
    this.acknowledged++;
    done();
    return true;
  }

  of(name: string): Array<Content | null> {
    this.possible[name] ??= [null];
    return this.possible[name];
  }

  size(file: number): number {
    return file >= FILES - LARGE ? this.random.between(5_500_000, 9_000_000) : this.random.below(120_000);
  }

  write(file: number): boolean {
    const name = nameOf(file);
    const content = { seed: this.random.seed(), size: this.size(file) };
    const isSynced = this.random.chance(SYNCED);
    const before = this.of(name);
    return this.attempt(
      () => {
        const bytes = contentOf(content.seed, content.size);
        const fd = openSync(this.at(name), 'w');
        try {
          for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, Math.min(300_000, bytes.length - at));
          if (isSynced) fsyncSync(fd);
        } catch (error) {
          closeAfterFailure(fd);
          throw error;
        }
        closeSync(fd);
      },
      () => {
        this.possible[name] = [content];
      },
      () => {
        // Opened with O_TRUNC, and written in part: that is what close() may have stored.
        this.possible[name] = [...before, content, { seed: content.seed, size: -1 }];
      },
    );
  }

  read(file: number): boolean {
    const name = nameOf(file);
    let there: Buffer | null = null;
    const read = (): void => {
      try {
        there = readFileSync(this.at(name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    };
    return this.attempt(
      read,
      () => this.compare(name, there),
      () => {},
    );
  }

  compare(name: string, there: Buffer | null): void {
    if (this.of(name).some((content) => isIt(content, there))) return;
    const may = this.of(name).map((content) => (content === null ? 'absent' : `${content.size} bytes`));
    this.problems.push(
      `${name} is ${there === null ? 'absent' : `${there.length} bytes`}, and may be ${may.join(', ')}`,
    );
  }

  rename(file: number, target: number): boolean {
    const [from, to] = [nameOf(file), nameOf(target)];
    const [moved, replaced] = [this.of(from), this.of(to)];
    // An absent file cannot be renamed; where that is possible the target may stay as it is.
    return this.attempt(
      () => renameSync(this.at(from), this.at(to)),
      () => Object.assign(this.possible, { [from]: [null], [to]: moved.filter((content) => content !== null) }),
      () => Object.assign(this.possible, { [from]: [...moved, null], [to]: [...replaced, ...moved] }),
    );
  }

  unlink(file: number): boolean {
    const name = nameOf(file);
    const before = this.of(name);
    return this.attempt(
      () => unlinkSync(this.at(name)),
      () => {
        this.possible[name] = [null];
      },
      () => {
        this.possible[name] = [...before, null];
      },
    );
  }

  step(): boolean {
    const { random } = this;
    const file = random.chance(0.15) ? random.between(FILES - LARGE, FILES - 1) : random.below(FILES - LARGE);
    const roll = random.next();
    if (roll < 0.4) return this.write(file);
    if (roll < 0.8) return this.read(file);
    if (roll < 0.92) return this.rename(file, (file + 1 + random.below(FILES - LARGE - 1)) % (FILES - LARGE));
    return this.unlink(file);
  }
}

/** The failure before it counts; but it must not leave the descriptor. */
function closeAfterFailure(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // Told by the write already.
  }
}

/** A size of -1: any beginning of the content. */
export function isIt(content: Content | null, there: Buffer | null): boolean {
  if (content === null || there === null) return content === null && there === null;
  if (content.size >= 0 && there.length !== content.size) return false;
  return contentOf(content.seed, there.length).equals(there);
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Everything is readable, and can be written, within the time. */
function recover(worker: Worker, end: number): void {
  for (let file = 0; file < FILES; file++) {
    const until = (what: string, work: () => boolean): void => {
      while (!work())
        if (Date.now() > end) {
          worker.problems.push(`${what} ${nameOf(file)} does not work again: ${JSON.stringify(worker.errors)}`);
          return;
        } else sleep(100);
    };
    until('reading', () => worker.read(file));
    until('writing', () => worker.write(file));
    until('reading back', () => worker.read(file));
  }
}

function main([directory, state, seed, ms, phase]: string[]): void {
  const possible = existsSync(state) ? (JSON.parse(readFileSync(state, 'utf8')) as Possible) : {};
  const worker = new Worker(directory, possible, new Random(Number(seed)));
  const end = Date.now() + Number(ms);
  if (phase === 'after') recover(worker, end);
  else while (Date.now() < end) if (!worker.step()) sleep(5);
  writeFileSync(state, JSON.stringify(worker.possible));
  const { problems, acknowledged, errors } = worker;
  console.log(JSON.stringify({ problems, acknowledged, errors } satisfies WorkerAnswer));
}

if (process.argv[1]?.endsWith('/faults/worker.js')) main(process.argv.slice(2));
