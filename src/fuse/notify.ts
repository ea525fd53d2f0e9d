/**
 * Notifications: frames that tell the kernel to forget something. They are only made here; the addon's thread sends
 * them, because from the serving thread they can wait for a lock that only an answer of this thread releases.
 */
import { errnoName } from '../errno.js';
import type { Logger } from '../log.js';
import { notify, OUT_HEADER_BYTES } from './abi.js';
import { Frame } from './frame.js';
import { encodeName } from './name.js';
import type { Notifier } from './operations.js';

function notification(code: number, bodyBytes: number): Frame {
  const frame = new Frame(Buffer.alloc(OUT_HEADER_BYTES + bodyBytes));
  frame.putU32(0, frame.length);
  frame.putU32(4, code);
  return frame;
}

/** struct fuse_notify_inval_inode_out */
export function invalInodeFrame(nodeid: number, offset: number, length: number): Buffer {
  const frame = notification(notify.INVAL_INODE, 24);
  frame.put64(16, nodeid);
  frame.put64(24, offset);
  frame.put64(32, length);
  return frame.bytes;
}

/** struct fuse_notify_inval_entry_out and the name with its NUL */
export function invalEntryFrame(parent: number, name: string): Buffer {
  const bytes = encodeName(name);
  const frame = notification(notify.INVAL_ENTRY, 16 + bytes.length + 1);
  frame.put64(16, parent);
  frame.putU32(24, bytes.length);
  bytes.copy(frame.bytes, 32);
  return frame.bytes;
}

/** struct fuse_notify_delete_out and the name with its NUL */
export function deleteFrame(parent: number, child: number, name: string): Buffer {
  const bytes = encodeName(name);
  const frame = notification(notify.DELETE, 24 + bytes.length + 1);
  frame.put64(16, parent);
  frame.put64(24, child);
  frame.putU32(32, bytes.length);
  bytes.copy(frame.bytes, 40);
  return frame.bytes;
}

/** Sends one frame without waiting: 0, or a negative errno (-EAGAIN: the queue is full). */
export type SendNotification = (frame: Buffer) => number;

export class FrameNotifier implements Notifier {
  /** Notifications that found the queue full or the connection closed: what they were about expires by its time only. */
  dropped = 0;
  readonly #send: SendNotification;
  readonly #log: Logger;
  #dropping = false;

  constructor(send: SendNotification, log: Logger) {
    this.#send = send;
    this.#log = log;
  }

  invalInode(nodeid: number, offset: number, length: number): void {
    this.#put(invalInodeFrame(nodeid, offset, length));
  }

  invalEntry(parent: number, name: string): void {
    this.#put(invalEntryFrame(parent, name));
  }

  deleted(parent: number, child: number, name: string): void {
    this.#put(deleteFrame(parent, child, name));
  }

  #put(frame: Buffer): void {
    const result = this.#send(frame);
    if (result === 0) {
      this.#dropping = false;
      return;
    }
    this.dropped += 1;
    // One line a burst: a full queue refuses thousands in a row.
    if (!this.#dropping) this.#log.warn({ error: errnoName(result) }, 'a notification to the kernel was dropped');
    this.#dropping = true;
  }
}
