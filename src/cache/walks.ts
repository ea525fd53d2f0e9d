/**
 * Recursive walks (find, du, ls -R, rm -r, grep -r, tar c, rsync): a directory is listed, and then one after another those in it.
 * From the second of these on the subtree is listed flat, 1,000 keys a request, and what a LIST of each directory would
 * say is taken out of the keys. Of a directory that has more below it than is read for it the names are asked in the plain
 * way, and where that is the rule the guess was wrong: the walk is not listed flat any more.
 */
import type { Clock } from '../clock.js';
import { LIST_PAGE_KEYS, WALK_AHEAD_PAGES, WALK_BEGUN_DIRECTORIES, WALK_SERIES_MS } from '../constants.js';
import type { Logger } from '../log.js';
import { compareKeys } from '../s3/key.js';
import type { ListedObject, ObjectClient } from '../s3/object-client.js';
import { FlatAnswer, type FlatPage, FlatRun, keyBefore } from './flat-run.js';
import type { OwnChanges } from './own-changes.js';

export interface WalkOptions {
  readonly client: ObjectClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly changes: OwnChanges;
  /** Keys that were listed longer ago are not used any more. */
  readonly maxAgeMs: number;
  /** Of all keys that are held. */
  readonly maxBytes: number;
  /** Asks for metadata too, where the server tells it in listings. */
  readonly metadata?: boolean;
}

/** As ListPage, for one directory. */
export interface WalkAnswer {
  readonly objects: ListedObject[];
  readonly prefixes: string[];
  readonly date: number;
  /** Monotonic time at which the first of its LISTs began (ms): what is told is no older. */
  readonly startedAt: number;
  /** LISTs that were sent for it and were not counted for another answer. */
  readonly asked: number;
  /** Not all: the rest comes behind this key. */
  readonly next: string | undefined;
}

/** Most pages that are read for the names in one directory, before they are asked in the plain way. */
const MAX_PAGES_FOR_ONE = 12;
/** What was not used for so many answers is taken to be left behind. */
const IDLE_USES = 64;
/** Directories whose walk is remembered. */
const MAX_REMEMBERED = 1_000;

class HeldRun {
  readonly run: FlatRun;
  token: string | undefined;
  loading: Promise<boolean> | undefined;
  /** The page that the walk has come to; those before it are done with. */
  position = 0;
  hits = 0;
  usedAt = 0;
  bytes: number[] = [];
  /** LISTs that no answer was counted for yet. */
  uncounted = 0;

  constructor(start: string) {
    this.run = new FlatRun(start);
  }

  get isAtEnd(): boolean {
    return this.run.end === undefined;
  }

  dropFirst(): void {
    this.run.pages.shift();
    this.bytes.shift();
    this.position--;
  }
}

/** One walk: the directory it began with, and what was listed flat below it. */
export class Walk {
  readonly top: string;
  /** Directories below the top that were listed since. */
  joined = 0;
  lastAt = 0;
  isStopped = false;
  hits = 0;
  misses = 0;
  runs: HeldRun[] = [];

  constructor(top: string) {
    this.top = top;
  }
}

export class Walks {
  readonly #options: WalkOptions;
  /** By directory, the latest last. */
  readonly #recent = new Map<string, Walk>();
  #uses = 0;
  /** The server lists in an order of its own, in which no directory can be told from the keys around it. */
  #isUnordered = false;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  /** Bytes of the keys that are held, about. */
  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#runs()) for (const size of bytes) sum += size;
    return sum;
  }

  /** The same without what was walked through. */
  #bytesAhead(): number {
    let sum = 0;
    for (const { bytes, position } of this.#runs()) for (const size of bytes.slice(position)) sum += size;
    return sum;
  }

  /**
   * A program begins to read a directory, of which the listing is there or has to be asked. Answers the walk it belongs
   * to, if that is listed flat.
   */
  enter(prefix: string, isListed: boolean): Walk | undefined {
    const now = this.#options.clock.monotonic();
    const above = prefix === '' ? undefined : this.#recall(parentPrefix(prefix));
    const isGoingOn = above !== undefined && now - above.lastAt <= WALK_SERIES_MS;
    const walk = isGoingOn ? above : new Walk(prefix);
    if (!isGoingOn) this.#forgetEnded(now);
    else if (!isListed) walk.joined++;
    walk.lastAt = now;
    this.#recent.delete(prefix);
    this.#recent.set(prefix, walk);
    if (this.#recent.size > MAX_REMEMBERED) this.#recent.delete([...this.#recent.keys()][0]);
    return isRecognised(walk) && !this.#isUnordered ? walk : undefined;
  }

  #recall(prefix: string): Walk | undefined {
    const walk = this.#recent.get(prefix);
    if (walk !== undefined) {
      this.#recent.delete(prefix);
      this.#recent.set(prefix, walk);
    }
    return walk;
  }

  #forgetEnded(now: number): void {
    for (const [prefix, walk] of this.#recent) if (now - walk.lastAt > WALK_SERIES_MS) this.#recent.delete(prefix);
  }

  *#runs(): Generator<HeldRun> {
    for (const walk of new Set(this.#recent.values())) yield* walk.runs;
  }

  /**
   * What a LIST of a directory with a delimiter would say of it behind the key `after` ('': from its beginning).
   * @return undefined: it has to be asked
   */
  async list(walk: Walk, prefix: string, after: string): Promise<WalkAnswer | undefined> {
    if (walk.isStopped || prefix === walk.top) return undefined;
    let answer: WalkAnswer | 'miss' | undefined;
    try {
      const held = await this.#runFor(walk, prefix, after);
      if (held !== undefined) answer = await this.#gather(walk, held, prefix, after);
    } catch (error) {
      // The plain way asks for less, and may be allowed; if not, it says why.
      this.#options.logger.debug({ err: error, prefix: walk.top }, 'a subtree could not be listed flat');
      this.#stop(walk);
      return undefined;
    }
    if (answer === 'miss') {
      walk.misses++;
      if (walk.misses > 2 + walk.hits / 4) this.#stop(walk);
      return undefined;
    }
    return answer;
  }

  #stop(walk: Walk): void {
    walk.isStopped = true;
    walk.runs = [];
  }

  /** The run that has the directory, or that comes to it with its next page; else a new one. */
  async #runFor(walk: Walk, prefix: string, after: string): Promise<HeldRun | undefined> {
    for (;;) {
      const oldest = this.#options.clock.monotonic() - this.#options.maxAgeMs;
      walk.runs = walk.runs.filter(({ run, position }) => !run.pages.slice(position).some((p) => p.startedAt < oldest));
      const found = walk.runs.find(({ run }) => run.reaches(prefix, after));
      // Where the plain way had the beginning it goes on.
      if (found !== undefined || after !== '') return found;
      const coming = walk.runs.find(({ loading, run }) => loading !== undefined && !run.isBehind(prefix));
      if (coming === undefined) break;
      await coming.loading;
    }
    const begun = new HeldRun(keyBefore(prefix));
    walk.runs.push(begun);
    return begun;
  }

  async #gather(walk: Walk, held: HeldRun, prefix: string, after: string): Promise<WalkAnswer | 'miss' | undefined> {
    const { run } = held;
    const answer = new FlatAnswer(prefix, after);
    const taken: FlatPage[] = [];
    let left = Math.min(MAX_PAGES_FOR_ONE, 1 + 2 * walk.hits);
    while (!(answer.isWhole || answer.isEnough)) {
      const [last] = taken.slice(-1);
      const number = last === undefined ? run.pageOf(prefix, after) : run.pages.indexOf(last) + 1;
      // It was let go while the next was on its way.
      if (last !== undefined && number === 0) return undefined;
      const page = run.pages[number];
      if (page !== undefined) {
        answer.take(page);
        taken.push(page);
      } else if (left-- === 0) return 'miss';
      else if (!(await this.#more(walk, held))) {
        if (run.pages.length === 0) walk.runs = walk.runs.filter((other) => other !== held);
        return undefined;
      }
    }
    const { objects, prefixes, next } = answer;
    // A directory that was just shown has something, unless it went meanwhile: it says so itself.
    if (after === '' && objects.length + prefixes.length === 0) return undefined;
    const startedAt = Math.min(...taken.map((page) => page.startedAt));
    if (this.#options.changes.since(prefix, startedAt)) return undefined;
    const date = Math.min(...taken.map((page) => page.date));
    const asked = held.uncounted;
    held.uncounted = 0;
    this.#used(walk, held, Math.max(0, run.pages.indexOf(taken[0])));
    return { objects, prefixes, next, startedAt, date, asked };
  }

  /** After the second directory that was answered, the next pages are read ahead. */
  #used(walk: Walk, held: HeldRun, position: number): void {
    walk.hits++;
    held.hits++;
    held.usedAt = ++this.#uses;
    held.position = position;
    if (held.hits < 2 || held.isAtEnd || held.run.pages.length - 1 - position >= WALK_AHEAD_PAGES) return;
    // Several walks have to have room.
    if (this.#bytesAhead() > this.#options.maxBytes / 2) return;
    // Whoever comes to that page asks again, and hears why.
    this.#more(walk, held).catch(() => undefined);
  }

  #more(walk: Walk, held: HeldRun): Promise<boolean> {
    held.loading ??= this.#fetch(walk, held).finally(() => {
      held.loading = undefined;
    });
    return held.loading;
  }

  /** One LIST; false where no room is left. */
  async #fetch(walk: Walk, held: HeldRun): Promise<boolean> {
    const { client, clock, metadata } = this.#options;
    const { run, token } = held;
    const { end } = run;
    if (end === undefined || !this.#makeRoom(held)) return false;
    const startedAt = clock.monotonic();
    const startAfter = token === undefined ? end : undefined;
    const answer = await client.list({ prefix: walk.top, startAfter, token, maxKeys: LIST_PAGE_KEYS, metadata });
    if (answer.unordered || !isAscending(answer.objects)) {
      this.#isUnordered = true;
      throw new Error('the server does not list in the order of the keys');
    }
    const date = answer.date - (clock.monotonic() - startedAt);
    const objects = answer.objects.filter(({ key }) => compareKeys(key, end) > 0);
    held.token = answer.nextToken;
    const last = answer.nextToken === undefined ? undefined : (objects.at(-1)?.key ?? end);
    run.pages.push({ objects, after: end, last, startedAt, date });
    held.bytes.push(sizeOf(objects));
    held.uncounted++;
    return true;
  }

  /** Lets go of what was walked through, then of what nobody came to for long. */
  #makeRoom(held: HeldRun): boolean {
    while (this.bytes >= this.#options.maxBytes) {
      const all = [...this.#runs()].sort((a, b) => a.usedAt - b.usedAt);
      const passed = all.find(({ position }) => position > 0);
      if (passed !== undefined) passed.dropFirst();
      else {
        const left = all.find(
          (run) => run !== held && run.loading === undefined && this.#uses - run.usedAt > IDLE_USES,
        );
        if (left === undefined) return false;
        for (const walk of this.#recent.values()) walk.runs = walk.runs.filter((run) => run !== left);
      }
    }
    return true;
  }
}

function isAscending(objects: readonly ListedObject[]): boolean {
  return objects.every(({ key }, at) => at === 0 || compareKeys(objects[at - 1].key, key) < 0);
}

function isRecognised({ joined, isStopped }: Walk): boolean {
  return joined >= WALK_BEGUN_DIRECTORIES && !isStopped;
}

/** About what the objects of a page take in memory. */
function sizeOf(objects: readonly ListedObject[]): number {
  let size = 0;
  for (const { key, metadata } of objects) {
    size += 200 + key.length;
    for (const name in metadata) size += 64 + name.length + metadata[name].length;
  }
  return size;
}

function parentPrefix(prefix: string): string {
  return prefix.slice(0, prefix.lastIndexOf('/', prefix.length - 2) + 1);
}
