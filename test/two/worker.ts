/**
 * A program of one host: `node worker.js PLAN`, PLAN being JSON (WorkerPlan). It reads, writes, renames and removes files
 * that programs of the other host use too, and logs each operation with its times and its outcome, one JSON line each. Two
 * programs of one host never use one name at the same time: what they would see then is no matter between hosts.
 */
import {
  appendFileSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { Random } from '../crash/content.js';
import { bytesOf, type Content, contentOver, HEADER_BYTES, parse } from './content.js';

export interface WorkerPlan {
  /** 'a' or 'b'. */
  readonly host: string;
  /** Begins the ids of what it writes. */
  readonly name: string;
  readonly mountpoint: string;
  /** Where the programs of this host lock names. */
  readonly locks: string;
  readonly log: string;
  readonly seed: number;
  readonly seconds: number;
}

export interface Step {
  readonly host: string;
  readonly op: 'read' | 'write' | 'make' | 'remove' | 'rename' | 'mkdir' | 'rmdir' | 'rename-directory';
  readonly path: string;
  /** Of renames. */
  readonly to?: string;
  /** Of CLOCK_MONOTONIC, which all processes share (ms). */
  readonly start: number;
  readonly end: number;
  /** 'ok', or the errno's name. */
  readonly outcome: string;
  /** What was read or written. */
  readonly content?: Pick<Content, 'id' | 'parent'>;
  /** The write ended with fsync(2). */
  readonly isSynced?: boolean;
  /** All bytes were written: the failure is that of fsync or close. */
  readonly isWritten?: boolean;
  /** What is wrong with the bytes that were read. */
  readonly problem?: string;
}

/** Files that are only written in place: nothing of them may be lost. The size of each (bytes). */
export const KEPT: Readonly<Record<string, number>> = {
  k0: 1_000,
  k1: 12_000,
  k2: 20_000,
  k3: 150_000,
  k4: 700_000,
  k5: 7_000_000,
};
/** Names that are made, renamed and removed. */
export const MOVING = ['m0', 'm1', 'm2', 'd0/m0', 'd0/m1', 'd1/m0', 'd1/m1'];
export const DIRECTORIES = ['d0', 'd1', 'd2'];
/** One write(2) of this is one request. */
const LARGEST_WRITE = 900_000;
const MOVING_BYTES = 9_000;

const clock = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Node has no name for it. */
const ESTALE = -116;

function codeOf(error: unknown): string {
  const { code, errno } = error as NodeJS.ErrnoException;
  return errno === ESTALE ? 'ESTALE' : (code ?? String(error));
}

class Worker {
  readonly random: Random;
  #count = 0;

  constructor(readonly plan: WorkerPlan) {
    this.random = new Random(plan.seed);
  }

  at(path: string): string {
    return `${this.plan.mountpoint}/${path}`;
  }

  newId(): string {
    return `${this.plan.name}-${this.#count++}`;
  }

  /** Runs with names locked on this host; false: another program has one of them. */
  locked(names: readonly string[], work: () => void): boolean {
    const held: string[] = [];
    try {
      for (const name of [...new Set(names)]) {
        const lock = `${this.plan.locks}/${name.replace('/', '-')}`;
        try {
          mkdirSync(lock);
        } catch {
          return false;
        }
        held.push(lock);
      }
      work();
      return true;
    } finally {
      for (const lock of held) rmdirSync(lock);
    }
  }

  log(step: Omit<Step, 'host' | 'end'>): void {
    appendFileSync(this.plan.log, `${JSON.stringify({ host: this.plan.host, end: clock(), ...step })}\n`);
  }

  /** The whole file through one descriptor. */
  readAll(fd: number): Buffer {
    const bytes = Buffer.alloc(fstatSync(fd).size);
    let at = 0;
    while (at < bytes.length) {
      const count = readSync(fd, bytes, at, Math.min(1 << 20, bytes.length - at), at);
      if (count === 0) break;
      at += count;
    }
    return bytes.subarray(0, at);
  }

  read(path: string): void {
    const start = clock();
    try {
      const fd = openSync(this.at(path), 'r');
      let bytes: Buffer;
      try {
        bytes = this.readAll(fd);
      } finally {
        closeSync(fd);
      }
      try {
        const { id, parent } = parse(bytes);
        this.log({ op: 'read', path, start, outcome: 'ok', content: { id, parent } });
      } catch (error) {
        this.log({ op: 'read', path, start, outcome: 'ok', problem: (error as Error).message });
      }
    } catch (error) {
      this.log({ op: 'read', path, start, outcome: codeOf(error) });
    }
  }

  /** Reads what is there, and writes its beginning anew through the same descriptor. */
  write(path: string): void {
    const start = clock();
    const { random } = this;
    const isSynced = random.chance(0.5);
    let content: Content | undefined;
    let isWritten = false;
    let fd: number | undefined;
    let outcome = 'ok';
    try {
      fd = openSync(this.at(path), 'r+');
      const before = parse(this.readAll(fd));
      if (random.chance(0.5)) sleep(random.below(40));
      const size = KEPT[path];
      const cut = Math.min(LARGEST_WRITE, Math.max(HEADER_BYTES, Math.ceil((size * random.between(1, 4)) / 4)));
      content = contentOver(this.newId(), before, cut, size);
      const bytes = bytesOf(content, cut);
      const written = writeSync(fd, bytes, 0, bytes.length, 0);
      isWritten = written === bytes.length;
      if (isSynced) fsyncSync(fd);
    } catch (error) {
      outcome = codeOf(error);
    }
    try {
      if (fd !== undefined) closeSync(fd);
    } catch (error) {
      if (outcome === 'ok') outcome = codeOf(error);
    }
    const told = content === undefined ? undefined : { id: content.id, parent: content.parent };
    this.log({ op: 'write', path, start, outcome, content: told, isSynced, isWritten });
  }

  /** A new file. */
  make(path: string): void {
    const start = clock();
    const content = contentOver(this.newId(), undefined, MOVING_BYTES, MOVING_BYTES);
    let isWritten = false;
    const isSynced = this.random.chance(0.3);
    let outcome = 'ok';
    try {
      const fd = openSync(this.at(path), constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY);
      try {
        writeSync(fd, bytesOf(content));
        isWritten = true;
        if (isSynced) fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      outcome = codeOf(error);
    }
    const { id, parent } = content;
    this.log({ op: 'make', path, start, outcome, content: { id, parent }, isSynced, isWritten });
  }

  attempt(op: Step['op'], path: string, to: string | undefined, work: () => void): void {
    const start = clock();
    let outcome = 'ok';
    try {
      work();
    } catch (error) {
      outcome = codeOf(error);
    }
    this.log({ op, path, to, start, outcome });
  }

  /** Names, which all programs of this host keep to themselves meanwhile. */
  onNames(): void {
    const { random } = this;
    const [path, to] = [random.pick(MOVING), random.pick(MOVING)];
    const [directory, other] = [random.pick(DIRECTORIES), random.pick(DIRECTORIES)];
    const roll = random.next();
    if (roll < 0.35) this.make(path);
    else if (roll < 0.5) this.read(path);
    else if (roll < 0.65) this.attempt('remove', path, undefined, () => unlinkSync(this.at(path)));
    else if (roll < 0.8) this.attempt('rename', path, to, () => renameSync(this.at(path), this.at(to)));
    else if (roll < 0.9) this.attempt('mkdir', directory, undefined, () => mkdirSync(this.at(directory)));
    else if (roll < 0.95) this.attempt('rmdir', directory, undefined, () => rmdirSync(this.at(directory)));
    else this.attempt('rename-directory', directory, other, () => renameSync(this.at(directory), this.at(other)));
  }

  step(): boolean {
    const { random } = this;
    if (random.chance(0.25)) return this.locked(['names'], () => this.onNames());
    const path = random.pick(Object.keys(KEPT).filter((name) => name !== 'k5' || random.chance(0.3)));
    return this.locked([path], () => (random.chance(0.55) ? this.write(path) : this.read(path)));
  }

  run(): void {
    const end = clock() + this.plan.seconds * 1000;
    while (clock() < end) {
      if (!this.step()) sleep(2);
      // Others get their turn, and uploads their time.
      else if (this.random.chance(0.3)) sleep(this.random.below(30));
    }
  }
}

if (process.argv[1]?.endsWith('/two/worker.js')) new Worker(JSON.parse(process.argv[2]) as WorkerPlan).run();
