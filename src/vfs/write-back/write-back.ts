/**
 * What waits for the store: inodes whose bytes, attributes or names it does not have, and objects that are to be deleted.
 * Every change is in the journal before the operation answers, and the queue brings it over behind. An inode is one thing
 * whatever happened to it meanwhile: what is brought over is what it is then, from where its object lies (storedKey) to
 * where its name says.
 *
 * What waits for what: a write of a key waits until an object that lay there and was renamed has been copied away; what
 * lies below a directory whose keys are still to be moved waits for that move; so does what is made where those keys lie.
 */

import { rmSync } from 'node:fs';
import type { ListedVersion } from '../../cache/attribute-store.js';
import { DELETE_BATCH_KEYS, MAX_PENDING, STATE_SYNC_MS } from '../../constants.js';
import type { FlushQueue } from '../../writeback/flush-queue.js';
import type { Journal } from '../../writeback/journal.js';
import type { StagedFile } from '../../writeback/staged-file.js';
import type { Inode, LeftName } from '../inode.js';
import { type Sent, takeSent } from '../sent.js';
import { homeKeyOf, type Volume } from '../volume.js';
import { drained, hurryAll, isOrWasBelow, newQueue } from './flushing.js';
import { LeftDirectories } from './left-directories.js';
import { Places } from './places.js';
import { canKeep, recordOf } from './record.js';
import { type Removal, Removals } from './removals.js';
import { SAFE_ID, StateSync } from './state-sync.js';
import { UploadAccounts } from './upload-accounts.js';
import { WrittenNotes } from './written.js';

type Change = readonly [number, unknown];

export class WriteBack {
  readonly journal: Journal;
  readonly queue: FlushQueue<Inode>;
  readonly removals: Removals;
  readonly sync: StateSync;
  readonly #volume: Volume;
  readonly places: Places;
  readonly written: WrittenNotes;
  readonly uploads: UploadAccounts;
  /** 1 is the note of what is safe (state-sync.ts). */
  #nextId = SAFE_ID + 1;
  #frame: Change[] = [];

  constructor(volume: Volume, journal: Journal) {
    this.#volume = volume;
    this.journal = journal;
    this.places = new Places(
      volume,
      (key) => this.removals.at(key)?.isRunning ?? false,
      () => this.removals.isRunning,
    );
    for (const [id] of journal.entries()) this.#nextId = Math.max(this.#nextId, id + 1);
    this.queue = newQueue(volume, this);
    const left = new LeftDirectories(this);
    volume.inodes.isNamed = (directory) => left.has(directory);
    this.removals = new Removals(volume, {
      append: (changes) => {
        this.alsoAppend(...changes);
        this.done();
      },
      isFrozen: (key) => this.places.isMoving(key) || this.places.isClaimed(key),
      pending: () => this.queue.items(),
      onEnd: () => this.queue.poke(),
      onForgotten: (directory) => this.#forgetNamesIn(directory),
    });
    this.uploads = new UploadAccounts(journal, volume.clock, () => this.newId());
    this.written = new WrittenNotes(() => this.newId());
    const beforeSync = (): void => this.done();
    this.sync = new StateSync(journal, STATE_SYNC_MS, volume.logger, { beforeSync, onFailure: () => hurryAll(this) });
  }

  newId(): number {
    return this.#nextId++;
  }

  /** More than this machine should keep waiting: who makes more waits until some have gone. */
  room(): Promise<void> | undefined {
    return this.queue.size + this.removals.size > MAX_PENDING + DELETE_BATCH_KEYS ? drained(this) : undefined;
  }

  /** Before anything is changed: the journal will take it. Throws with code ENOSPC, or that of the failing disk. */
  reserve(): void {
    this.journal.reserve();
  }

  /** After a change, before the operation answers: the journal has taken it. */
  mustBeNoted(): void {
    this.journal.mustBeWritten();
  }

  /** An inode has something for the store: the journal has it when this returns. */
  note(...inodes: Inode[]): void {
    for (const inode of inodes) this.#put(inode);
    this.done();
    for (const inode of inodes) if (inode.journalId !== undefined) this.queue.add(inode);
  }

  #put(inode: Inode): void {
    const record = recordOf(inode, () => this.journal.valueOf(inode.journalId));
    if (record === undefined) return;
    inode.journalId ??= this.newId();
    inode.notedGeneration = canKeep(inode) ? (inode.staged?.generation ?? -1) : -1;
    inode.waitsSince ??= this.#volume.clock.now();
    this.places.note(inode);
    this.#frame.push([inode.journalId, { ...record, since: inode.waitsSince }]);
    if (inode.staged !== undefined) this.#watch(inode, inode.staged);
  }

  /** One that the journal has from an earlier daemon. `since`: when it began to wait (ms since 1970), where that is known. */
  takeUp(inode: Inode, id: number, since = this.#volume.clock.now()): void {
    inode.journalId = id;
    inode.waitsSince = since;
    inode.notedGeneration = inode.staged?.generation ?? -1;
    this.places.note(inode);
    if (inode.staged !== undefined) this.#watch(inode, inode.staged);
    this.queue.add(inode);
  }

  #watch(inode: Inode, staged: StagedFile): void {
    if (staged.inline === undefined) this.sync.add(staged);
    // What the journal has of a small file is not changed by what is written later.
    staged.onShrink ??= () => {
      if (staged.inline === undefined && inode.journalId !== undefined && inode.staged !== undefined) this.note(inode);
    };
  }

  /** It has nothing for the store any more. */
  forget(inode: Inode): void {
    this.places.left(inode);
    if (inode.journalId !== undefined) this.#frame.push([inode.journalId, undefined]);
    inode.journalId = undefined;
    inode.waitsSince = undefined;
    this.queue.remove(inode);
  }

  /** Adds to the change that the next note, settle or done writes. */
  alsoAppend(...changes: Change[]): void {
    this.#frame.push(...changes);
  }

  /** Writes the change that was put together. */
  done(): void {
    this.journal.append([...this.#frame, ...this.written.takeDone()]);
    this.#frame = [];
  }

  /** What this mount knows to stand under a key that is to be deleted. */
  removalAt(key: string): Removal | undefined {
    return this.removals.at(key);
  }

  /** Something else happened to the object: it is not ours to delete. */
  forgetRemoval(key: string): void {
    const removal = this.removals.at(key);
    if (removal === undefined) return;
    this.alsoAppend(this.removals.drop(removal));
    this.confirmNames(removal.names);
  }

  /** An object is to go. `version`: what stands there; undefined: whatever does. */
  bury(
    key: string,
    version: Partial<Pick<ListedVersion, 'etag' | 'lastModified'>> | undefined,
    names: readonly LeftName[],
    of: { readonly orphan?: Inode; readonly directory?: Inode; readonly sent?: Removal['sent'] } = {},
  ): void {
    const present = this.removals.at(key);
    if (present !== undefined) this.alsoAppend(this.removals.drop(present));
    const removal: Removal = {
      id: this.newId(),
      key,
      etag: version?.etag,
      lastModified: version?.lastModified,
      sent: of.sent ?? [],
      names: [...(present?.names ?? []), ...names],
      orphan: of.orphan,
      directory: of.directory,
      isMarker: key.endsWith('/'),
      isRunning: false,
      failure: undefined,
    };
    this.alsoAppend(this.removals.add(removal));
  }

  /** A name is gone whose file was on its way to the store: what may stand under its key goes with what stood there. */
  sentGone(key: string, names: readonly LeftName[], sent: readonly Sent[]): void {
    const under = this.removals.at(key);
    const isAnything = under !== undefined && under.etag === undefined && under.sent.length === 0;
    if (sent.length === 0 || isAnything) {
      if (names.length > 0) this.nameGone(key, names);
      return;
    }
    const { orphan, directory, sent: before = [] } = under ?? {};
    this.bury(key, under, names, { orphan, directory, sent: [...before, ...sent] });
  }

  /** Names under whose key the store has nothing, or only what is to be deleted. */
  nameGone(key: string, names: readonly LeftName[]): void {
    const under = this.removals.at(key);
    if (under === undefined) {
      this.confirmNames(names);
      return;
    }
    under.names.push(...names);
    // What the journal has of that tells names of directories that are there, of which this one may be none any more.
    if (under.directory !== undefined) this.#forgetNamesIn(under.directory);
    this.alsoAppend([under.id, this.removals.recordOf(under)]);
  }

  /** The store has the names no more that an inode has left. */
  confirmLeft(inode: Inode): void {
    const { leftNames } = inode;
    // Before: a directory stays only as long as something has left a name in it.
    inode.leftNames = [];
    this.confirmNames(leftNames);
  }

  /** The store has these names no more, and nothing that waits refers to them. */
  confirmNames(names: readonly LeftName[]): void {
    const at = this.#volume.clock.monotonic();
    for (const { directory, name, sequence } of names) {
      directory.directory?.overlay.confirm(name, sequence, at);
      this.#confirmDirectory(directory);
    }
  }

  /** A directory that was removed is gone from the store with the last of what lay in it, unless its marker is still there. */
  #confirmDirectory(directory: Inode): void {
    const { orphanOf, orphanKey } = directory;
    const isGone = orphanKey !== undefined && !directory.directory?.overlay.hasUnconfirmed;
    if (isGone && orphanOf !== undefined && this.removals.at(orphanKey) === undefined) {
      const record = orphanOf.directory?.overlay.get(directory.name);
      if (record !== undefined && record.present === undefined)
        this.confirmNames([{ directory: orphanOf, name: directory.name, sequence: record.sequence }]);
    }
    this.#volume.inodes.dropIfUnused(directory);
  }

  /**
   * The bytes of an inode are under a key now. Where they were before, and what stood there, is taken care of; `settle`
   * writes it down.
   */
  landed(inode: Inode, key: string, before: ListedVersion | undefined): void {
    const replaced = this.removals.at(key);
    if (replaced !== undefined) {
      this.alsoAppend(this.removals.drop(replaced));
      this.confirmNames(replaced.names);
    }
    const { storedKey } = inode;
    this.places.left(inode);
    if (storedKey !== undefined && storedKey !== key) {
      this.bury(storedKey, before, inode.leftNames, { sent: takeSent(inode, storedKey) });
      inode.leftNames = [];
    }
    if (inode.orphanKey !== undefined) {
      inode.storedKey = undefined;
      if (inode.version !== undefined) this.bury(key, inode.version, inode.leftNames, { orphan: inode });
      inode.leftNames = [];
      return;
    }
    inode.storedKey = homeKeyOf(this.#volume, inode) === key ? undefined : key;
    if (inode.storedKey === undefined) {
      this.confirmLeft(inode);
    }
    this.markStored(inode.parent);
  }

  /** From now on a directory and those above it may have something in the store. Part of a change that the caller writes down. */
  markStored(from: Inode | undefined): void {
    for (let at = from; at?.directory !== undefined && !at.directory.isStored; at = at.parent) {
      at.directory.isStored = true;
      if (at.journalId !== undefined) this.#put(at);
    }
  }

  /** Writes down what an inode is after it was brought over, wholly or in part. */
  settle(inode: Inode): void {
    if (inode.dirty && inode.orphanKey === undefined) this.#put(inode);
    else if (inode.journalId !== undefined) {
      this.#frame.push([inode.journalId, undefined]);
      inode.journalId = undefined;
      inode.waitsSince = undefined;
    }
    this.done();
  }

  /** Names below a directory have changed with its own: what the journal has of them is noted anew. */
  noteBelow(directory: Inode): void {
    // Also names in what was removed below it: the next start would look for them where they were.
    const isBelow = (inode: Inode): boolean => isOrWasBelow(inode, directory);
    this.#noteAnew((inode) => inode !== directory && isBelow(inode), isBelow);
  }

  /**
   * A directory was removed, and nothing in the journal says so any more, or says under which name. What it and those below
   * it had as names must not stand there either: the next start would take them for directories that are there, and keep
   * them when the last of what was in them goes.
   */
  #forgetNamesIn(gone: Inode): void {
    this.#noteAnew(
      () => false,
      (directory) => isOrWasBelow(directory, gone),
    );
  }

  #noteAnew(isWanted: (inode: Inode) => boolean, hasLeft: (directory: Inode) => boolean): void {
    const isConcerned = (names: readonly LeftName[]): boolean => names.some((left) => hasLeft(left.directory));
    for (const inode of this.queue.items()) {
      // One whose upload is just over has left the journal before the queue.
      if (inode.journalId === undefined) continue;
      if (isWanted(inode) || isConcerned(inode.leftNames)) this.#put(inode);
    }
    for (const removal of this.removals.values())
      if (isConcerned(removal.names)) this.alsoAppend([removal.id, this.removals.recordOf(removal)]);
  }

  /** Brings an inode over now, and what has to go before it. Rejects with what failed. */
  async flush(inode: Inode): Promise<void> {
    if (!inode.dirty || inode.orphanKey !== undefined) return;
    if (inode.journalId === undefined) this.note(inode);
    // Also what no record can hold (ranges that are copies of other objects).
    this.queue.add(inode);
    await this.queue.urge(inode);
  }

  /** Tries everything that waits once. What could not be brought over stays. */
  async flushAll(): Promise<void> {
    do {
      await this.queue.settle();
      await this.removals.flush().catch(() => undefined);
      // Deleting needs a while; what came meanwhile goes too.
    } while ([...this.queue.items()].some((inode) => this.queue.stateOf(inode)?.error === undefined));
  }

  async close(): Promise<void> {
    await this.queue.close();
    await this.removals.close();
    await this.written.committed();
    this.done();
    await this.sync.close();
    await this.journal.close();
    // Nothing waits: nothing has to be found by the next mount, nor by whoever looks into the state directory.
    const isEmpty = [...this.journal.entries()].every(([id]) => id === SAFE_ID);
    if (isEmpty && !this.journal.hasFailed) rmSync(this.journal.path, { force: true });
  }
}
