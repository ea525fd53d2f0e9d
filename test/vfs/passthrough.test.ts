/** Passthrough without a kernel: what each open is answered with, and when a backing file is registered and closed. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { MiB } from '../../src/constants.js';
import { errno } from '../../src/errno.js';
import type { BackingFiles } from '../../src/fuse/operations.js';
import { code, O_RDWR, O_TRUNC, O_WRONLY, TestVolume } from './volume-fixture.js';

const O_APPEND = 0o2000;
const text = 'abcdefgh'.repeat(MiB / 4);

/** A kernel's side: which descriptor each id stands for. */
class Backings implements BackingFiles {
  readonly files = new Map<number, number>();
  refusal = 0;
  inUse = false;
  #last = 0;

  open(fd: number): number {
    if (this.refusal !== 0) return this.refusal;
    this.files.set(++this.#last, fd);
    return this.#last;
  }

  close(id: number): void {
    if (!this.files.delete(id)) throw new Error('closed twice');
  }

  isInUse(): boolean {
    return this.inUse;
  }

  /** What a reader in the kernel sees. */
  seen(id: number): string {
    return readFileSync(`/proc/self/fd/${this.files.get(id)}`, 'latin1');
  }
}

/** Resolves when the disk has all of it. */
async function cached(volume: TestVolume): Promise<void> {
  for (let tries = 0; volume.fs.status().cache.diskBytes < text.length; tries++) {
    if (tries > 1_000) throw new Error('it is not cached');
    await sleep(10);
  }
  await sleep(1);
}

async function withBacked(
  work: (volume: TestVolume, backings: Backings) => Promise<void>,
  overrides: Parameters<typeof TestVolume.open>[0] = {},
): Promise<void> {
  const volume = await TestVolume.open(overrides);
  const backings = new Backings();
  try {
    volume.fs.passthrough!(backings);
    await volume.put('f', text);
    await volume.read('f');
    await cached(volume);
    await work(volume, backings);
    if (backings.files.size > 0) throw new Error('a backing file is left');
  } finally {
    await volume.close();
  }
}

t.test('one id from the first open to the last release', async (t) => {
  await withBacked(async (volume, backings) => {
    const first = await volume.open('f');
    t.match(first, { backingId: Number, directIo: false, keepCache: undefined });
    const id = first.backingId!;
    t.equal(backings.seen(id), text);
    const others = [
      await volume.open('f'),
      await volume.open('f', O_WRONLY | O_APPEND),
      await volume.open('f', O_RDWR),
    ];
    t.same(
      others.map(({ backingId, directIo }) => [backingId, directIo]),
      [
        [id, false],
        [id, true],
        [id, true],
      ],
    );
    t.equal(backings.files.size, 1);
    await volume.closeFile(first);
    t.match(await volume.open('f').then(async (file) => [file.backingId, await volume.closeFile(file)]), [id]);
    for (const file of others) await volume.closeFile(file);
    t.equal(backings.files.size, 0);
  });
});

t.test('what changes is changed in the backing file too, and uploaded', async (t) => {
  await withBacked(async (volume, backings) => {
    const reader = await volume.open('f');
    const id = reader.backingId!;
    const writer = await volume.open('f', O_WRONLY);
    await volume.writeAt(writer, 3, 'XYZ');
    await volume.writeAt(writer, text.length, 'tail');
    const wanted = `abcXYZ${text.slice(6)}tail`;
    t.equal(backings.seen(id), wanted);
    await volume.truncate('f', 8);
    t.equal(backings.seen(id), 'abcXYZgh');
    await volume.writeAt(writer, 0, wanted);
    t.equal((await volume.readAt(writer, 0, 100)).toString(), wanted.slice(0, 100));
    await volume.closeFile(writer);
    const again = await volume.open('f', O_WRONLY | O_TRUNC);
    t.equal(again.backingId, id);
    t.equal(backings.seen(id), '');
    await volume.writeAt(again, 0, 'end');
    t.equal(backings.seen(id), 'end');
    await volume.closeFile(again);
    await volume.closeFile(reader);
    await volume.fs.flushAll();
    t.equal(volume.body('f'), 'end');
  });
});

t.test('what was not written is read from the backing file, also where the store has lost it', async (t) => {
  await withBacked(async (volume) => {
    const reader = await volume.open('f');
    const both = await volume.open('f', O_RDWR);
    await volume.writeAt(both, 0, 'new');
    await volume.put('f', 'somebody else');
    t.equal((await volume.readAt(both, 0, 6)).toString(), 'newdef');
    t.equal((await volume.readAt(both, text.length - 3, 9)).toString(), 'fgh');
    t.not(await code(volume.closeFile(both)), undefined);
    await volume.closeFile(reader);
    await volume.fs.flushAll();
    t.equal(volume.body('f'), 'somebody else');
    const copy = [...volume.memory.objects.keys()].find((key) => key.startsWith('f.conflict-here'));
    t.equal(volume.body(copy!), `new${text.slice(3)}`);
  });
});

t.test('stores that nobody has seen are found at flush, at fsync and at the last close', async (t) => {
  await withBacked(async (volume, backings) => {
    const reader = await volume.open('f');
    const both = await volume.open('f', O_RDWR);
    const fd = backings.files.get(reader.backingId!)!;
    writeSync(fd, 'one', MiB);
    await volume.fs.flush({} as never, both.nodeid, both.fh);
    await volume.fs.flushAll();
    t.equal(volume.body('f')?.slice(MiB, MiB + 4), 'oneD'.replace('D', text[3]));
    volume.requests();
    await volume.fs.flush({} as never, both.nodeid, both.fh);
    await volume.fs.flushAll();
    t.notOk(volume.requests().PutObject, 'nothing has changed');
    await volume.closeFile(reader);
    backings.inUse = true;
    await volume.closeFile(both);
    t.equal(backings.files.size, 0, 'the kernel has none open');
    writeSync(fd, 'two', 100);
    await volume.fs.flushAll();
    t.equal(volume.body('f')?.slice(100, 103), 'two', 'also while it is still mapped');
    writeSync(fd, 'six', 200);
    backings.inUse = false;
    await volume.fs.flushAll();
    t.equal(volume.body('f')?.slice(200, 203), 'six');
    volume.requests();
    t.equal(await volume.read('f'), volume.body('f'));
    t.notOk(volume.requests().GetObject, 'it is cached again');
  });
});

t.test('what was opened to be changed and was not is not uploaded, and cached again', async (t) => {
  await withBacked(async (volume) => {
    const reader = await volume.open('f');
    const both = await volume.open('f', O_RDWR);
    volume.requests();
    await volume.closeFile(both);
    await volume.closeFile(reader);
    await volume.fs.flushAll();
    await cached(volume);
    t.equal(await volume.read('f'), text);
    const { GetObject, PutObject, CreateMultipartUpload } = volume.requests();
    t.same([GetObject, PutObject, CreateMultipartUpload], [undefined, undefined, undefined]);
  });
});

t.test('while it is still mapped the next open has the same file', async (t) => {
  await withBacked(async (volume, backings) => {
    const first = await volume.open('f');
    const fd = backings.files.get(first.backingId!)!;
    backings.inUse = true;
    await volume.closeFile(first);
    const second = await volume.open('f', O_WRONLY);
    t.equal(backings.files.get(second.backingId!), fd);
    await volume.writeAt(second, 0, 'seen');
    t.equal(backings.seen(second.backingId!).slice(0, 5), 'seene');
    await volume.closeFile(second);
    backings.inUse = false;
    await volume.fs.flushAll();
    t.equal(volume.body('f')?.slice(0, 5), 'seene');
    t.equal((await volume.read('f')).slice(0, 5), 'seene');
  });
});

t.test('where the kernel takes no file, the open goes the usual way', async (t) => {
  await withBacked(async (volume, backings) => {
    backings.refusal = -errno.ENOMEM;
    const file = await volume.open('f');
    t.equal(file.backingId, undefined);
    backings.refusal = 0;
    const other = await volume.open('f');
    t.equal(other.backingId, undefined, 'and so do those that come meanwhile');
    for (const one of [file, other]) await volume.closeFile(one);
    const next = await volume.open('f');
    t.not(next.backingId, undefined);
    await volume.closeFile(next);
  });
});

t.test(
  'a cache disk that becomes full: the write fails, and the file is what the staged one has',
  {
    skip: process.geteuid?.() !== 0 && 'it needs root, for a small tmpfs',
  },
  async (t) => {
    const cacheDirectory = mkdtempSync(join(tmpdir(), 'pailfs-full-'));
    // Without the index, which has its own way with a full disk.
    const blocks = join(cacheDirectory, 'blocks');
    mkdirSync(blocks);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', blocks]);
    try {
      const work = async (volume: TestVolume): Promise<void> => {
        const reader = await volume.open('f');
        t.not(reader.backingId, undefined);
        const writer = await volume.open('f', O_WRONLY);
        const more = Buffer.alloc(8 * MiB, 'm');
        t.equal(await code(volume.writeAt(writer, text.length, more)), 'ENOSPC');
        t.equal((await volume.readAt(reader, text.length + 7 * MiB, 5)).toString(), 'mmmmm');
        await volume.closeFile(writer);
        await volume.closeFile(reader);
        await volume.fs.flushAll();
        t.ok(volume.body('f') === text + more.toString(), 'what the write may have done is there');
        t.ok((await volume.read('f')) === volume.body('f'), 'nothing of the file that was spoiled is cached');
      };
      await withBacked(work, { cacheDirectory });
    } finally {
      execFileSync('umount', [blocks]);
      rmSync(cacheDirectory, { recursive: true });
    }
  },
);

t.test('why it is not used', async (t) => {
  const reasons: Array<[number, RegExp]> = [
    [-errno.EPERM, /CAP_SYS_ADMIN/],
    [-errno.ELOOP, /overlay/],
    [-errno.ENOMEM, /ENOMEM/],
  ];
  for (const [refusal, reason] of reasons) {
    const volume = await TestVolume.open();
    const backings = new Backings();
    t.match(volume.fs.status().passthroughRefusal, /not offered/);
    backings.refusal = refusal;
    volume.fs.passthrough!(backings);
    t.match(volume.fs.status().passthroughRefusal, reason);
    backings.refusal = 0;
    await volume.put('f', text);
    await volume.read('f');
    await cached(volume);
    const file = await volume.open('f');
    t.equal(file.backingId, undefined);
    await volume.closeFile(file);
    await volume.close();
  }
  const volume = await TestVolume.open();
  const leaseless = new Backings();
  leaseless.inUse = true;
  volume.fs.passthrough!(leaseless);
  t.match(volume.fs.status().passthroughRefusal, /leases/);
  t.equal(leaseless.files.size, 0);
  await volume.close();
});
