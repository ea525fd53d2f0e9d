/**
 * pailfs and another tool on one bucket, one after the other: each check is told as it ends. What is mounted is always
 * mounted anew, and pailfs with nothing cached, so that what is seen comes from the bucket.
 */
import { join } from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { run } from '../mount/harness.js';
import { independentClient, without } from '../mount/s3-place.js';
import { Ground } from '../posix/ground.js';
import { changed, changes } from './changes.js';
import { differences, failures, seen, stored, type Tool } from './expected.js';
import { bodyOf, DIRECTORY, type OddKeys, oddKeys } from './keys.js';
import { Peer, type PeerName } from './peer.js';
import { entries, makeTree, showTree, type Tree } from './tree.js';

const STEP_MS = 60_000;
const SHOWN = 15;

/** Of a program's traceback. */
const errorOf = (error: Error): string => /\[Errno \d+\] (.*?):/.exec(error.message)?.[1] ?? error.message;

export class Failure extends Error {}

/** Throws where there is any. */
export function none(what: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > SHOWN ? [`and ${problems.length - SHOWN} more`] : [];
  throw new Failure([`${what}:`, ...problems.slice(0, SHOWN), ...more].join('\n  '));
}

export class Meeting {
  private constructor(
    readonly ground: Ground,
    readonly peer: Peer,
  ) {}

  static async open(name: PeerName, program: string, mountArguments: readonly string[]): Promise<Meeting> {
    const ground = await Ground.open(mountArguments);
    return new Meeting(ground, new Peer(name, program, ground.s3, ground.directory));
  }

  /** Runs while a tool has the bucket mounted. */
  async through<T>(tool: Tool, work: (mountpoint: string) => Promise<T>): Promise<T> {
    if (tool !== 'pailfs') {
      await this.peer.mount();
      const result = await work(this.peer.mountpoint);
      await this.peer.umount();
      return result;
    }
    await this.ground.mountCold();
    const result = await work(this.ground.mountpoint);
    await this.ground.umount();
    return result;
  }

  async write(tool: Tool): Promise<void> {
    const failed = await this.through(tool, (at) => makeTree(at, entries));
    const [due, there] = [failures[tool], failed].map((one) => JSON.stringify(Object.entries(one).sort()));
    if (due !== there) throw new Failure(`${tool} cannot make ${there}, not ${due}`);
  }

  async shows(tool: Tool, tree: Tree): Promise<void> {
    const found = await this.through(tool, showTree);
    none(`what ${tool} shows`, differences(seen(tree, tool), found));
  }

  async change(tool: Tool): Promise<void> {
    const problems = await this.through(tool, async (cwd) => {
      const found: string[] = [];
      for (const { what, script, refusedBy, notBy } of changes) {
        if (notBy === tool) continue;
        const { code, stderr } = await run('/bin/sh', ['-ec', script], { cwd, timeout: STEP_MS });
        if (refusedBy === tool ? code === 0 : code !== 0) found.push(`${what}: ended with ${code}: ${stderr.trim()}`);
      }
      return found;
    });
    none(`what ${tool} does`, problems);
  }

  /** `writer` writes, `viewer` looks, and changes what it finds; the first looks again. */
  checks(writer: Tool, viewer: Tool): Record<string, () => Promise<void>> {
    const first = stored(entries, writer);
    const then = changed(first, viewer);
    return {
      [`${writer} writes`]: () => this.write(writer),
      [`${viewer} shows what ${writer} wrote`]: () => this.shows(viewer, first),
      [`${writer} shows it too`]: () => this.shows(writer, first),
      [`${viewer} changes it`]: () => this.change(viewer),
      [`${writer} shows what ${viewer} changed`]: () => this.shows(writer, then),
      [`${viewer} shows it too`]: () => this.shows(viewer, then),
    };
  }

  /** What a tool shows of keys that only a client of S3 makes. On other servers than the embedded one only pailfs is held to it. */
  async showsKeys(tool: Tool): Promise<void> {
    const problems: string[] = [];
    const isHeld = tool === 'pailfs' || this.ground.s3.embedded !== undefined;
    await this.through(tool, async (at) => {
      for (const [directory, { shown }] of this.#keys()) {
        const found = await showTree(join(at, directory)).catch((error) => ({ '': { error: errorOf(error) } }));
        const told = Object.entries(found as Tree).map(([path, { kind, content, error }]) => {
          return [path, error ?? (kind === 'dir' ? DIRECTORY : content)];
        });
        const [due, there] = [Object.entries(shown[tool]), told].map((one) => JSON.stringify([...one].sort()));
        if (due === there) continue;
        if (isHeld) problems.push(`${directory}/: ${there}, not ${due}`);
        else console.log(`       ${tool} shows of ${directory}/ on this server: ${there}`);
      }
    });
    none(`what ${tool} shows`, problems);
  }

  /** Those that the server can have. */
  #keys(): Array<[string, OddKeys]> {
    return Object.entries(oddKeys).filter(([, { needs }]) => needs === undefined || without(needs) === false);
  }

  async putKeys(): Promise<void> {
    const left = Object.entries(oddKeys).filter(([directory]) => !this.#keys().some(([name]) => name === directory));
    for (const [directory, { needs }] of left) console.log(`       left out: ${directory}/, the server lacks ${needs}`);
    const client = independentClient(this.ground.s3);
    for (const [directory, { keys, empty = [] }] of this.#keys())
      for (const name of [...keys, ...empty]) {
        const Body = Buffer.from(empty.includes(name) ? '' : bodyOf(name));
        await client.send(new PutObjectCommand({ Bucket: this.ground.s3.bucket, Key: `${directory}/${name}`, Body }));
      }
    client.destroy();
  }

  /** Keys that only an S3 client makes. */
  keyChecks(): Record<string, () => Promise<void>> {
    const { name } = this.peer;
    return {
      'a client of S3 writes odd keys': () => this.putKeys(),
      'pailfs shows each under a name': () => this.showsKeys('pailfs'),
      [`${name} shows what it can of them`]: () => this.showsKeys(name),
    };
  }

  /** Whatever happened, nothing stays behind. */
  async close(): Promise<void> {
    await this.peer.close();
    await this.ground.close();
  }
}
