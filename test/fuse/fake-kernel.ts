/** The kernel's side of a session, for tests without a mount: makes frames, and keeps every reply by its request. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MAX_IO_BYTES } from '../../src/constants.js';
import { opcode } from '../../src/fuse/abi.js';
import { Frame } from '../../src/fuse/frame.js';
import type { BackingCalls } from '../../src/fuse/holdings.js';
import type { Notifier, Operations } from '../../src/fuse/operations.js';
import { type Channel, Session } from '../../src/fuse/session.js';
import { type Logger, silentLogger } from '../../src/log.js';

export interface Reply {
  readonly unique: number;
  readonly error: number;
  readonly body: Buffer;
}

export interface RequestFields {
  readonly opcode: number;
  readonly nodeid?: number;
  readonly body?: Uint8Array;
  readonly unique?: number;
}

const silentNotifier: Notifier = { invalInode: () => {}, invalEntry: () => {}, deleted: () => {} };

/** Numbers one behind the other: u32 as numbers, u64 as bigint, strings with their NUL. */
export function bytes(...fields: (number | bigint | string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    fields.map((field) => {
      if (typeof field === 'string') return Buffer.from(`${field}\0`);
      if (field instanceof Uint8Array) return field;
      const buffer = Buffer.alloc(typeof field === 'bigint' ? 8 : 4);
      if (typeof field === 'bigint') buffer.writeBigInt64LE(BigInt.asIntN(64, field));
      else buffer.writeUInt32LE(field);
      return buffer;
    }),
  );
}

export function requestBytes({ opcode: code, nodeid = 1, body = Buffer.alloc(0), unique = 2 }: RequestFields): Buffer {
  return bytes(40 + body.length, code, BigInt(unique), BigInt(nodeid), 1000, 1001, 4242, 0, body);
}

export class FakeKernel implements Channel {
  readonly session: Session;
  readonly replies: Reply[] = [];
  readonly returned: Frame[] = [];
  /** What the next replies are answered with, by the device. */
  sendResult = 0;
  /** Whether the programs that wait are ending. */
  ending = true;
  #unique = 0;

  constructor(operations: Operations, log: Logger = silentLogger, backingCalls?: BackingCalls) {
    const maxRead = MAX_IO_BYTES;
    const isEnding = (): boolean => this.ending;
    this.session = new Session({
      operations,
      channel: this,
      notifier: silentNotifier,
      log,
      privileged: true,
      maxRead,
      isEnding,
      backingCalls,
    });
  }

  send(frame: Frame, pieces: readonly Uint8Array[] = []): number {
    const whole = Buffer.concat([frame.bytes.subarray(0, frame.length), ...pieces]);
    if (whole.readUInt32LE(0) !== whole.length) throw new Error('a reply whose length is not its own');
    const error = whole.readInt32LE(4);
    if (error > 0 || error <= -512) throw new Error('a reply with an error that the kernel refuses');
    const unique = Number(whole.readBigUInt64LE(8));
    this.replies.push({ unique, error, body: Buffer.from(whole.subarray(16)) });
    return this.sendResult;
  }

  giveBack(frame: Frame): void {
    this.returned.push(frame);
  }

  /** Feeds one request; answers its unique. */
  ask(fields: RequestFields): number {
    this.#unique += 2;
    const unique = fields.unique ?? this.#unique;
    this.session.receive(new Frame(requestBytes({ ...fields, unique })));
    return unique;
  }

  /** Feeds one request that is answered at once. */
  call(fields: RequestFields): Reply {
    const unique = this.ask(fields);
    const replies = this.replies.filter((reply) => reply.unique === unique);
    if (replies.length !== 1) throw new Error(`${replies.length} replies`);
    return replies[0];
  }

  init(flags = 0xffffffff, flags2 = 0xffffffff, minor = 45): Reply {
    return this.call({ opcode: opcode.INIT, body: bytes(7, minor, 131072, flags, flags2, Buffer.alloc(44)) });
  }
}

/** A frame from test/fuse/frames: hex with comments from # to the end of the line. */
export function fixture(name: string): Buffer {
  const path = fileURLToPath(new URL(`../../../test/fuse/frames/${name}.hex`, import.meta.url));
  const text = readFileSync(path, 'utf8').replace(/#.*$/gm, '').replace(/\s+/g, '');
  return Buffer.from(text, 'hex');
}
