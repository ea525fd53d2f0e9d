/** Write-back without a kernel: what answers at once, what it costs in requests, and what is there after the daemon ended. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import t from 'tap';
import { KiB, MiB } from '../../src/constants.js';
import type { EntryReply } from '../../src/fuse/operations.js';
import { silentLogger } from '../../src/log.js';
import { Journal } from '../../src/writeback/journal.js';
import { Lifeline } from './mortal-client.js';
import { code, ctx, O_RDWR, O_TRUNC, O_WRONLY, ok, TestVolume } from './volume-fixture.js';

type Tap = Pick<typeof t, 'same' | 'equal' | 'ok' | 'match' | 'notOk'>;

/** Runs with a volume that writes back; at the end everything is brought over, and nothing is left. */
async function withWriteBack(t: Tap, work: (volume: TestVolume) => Promise<void>): Promise<void> {
  const volume = await TestVolume.open({ writeBack: true });
  try {
    await work(volume);
    t.same(await volume.fs.flushAll(), []);
    const { lookups, openFiles, openDirectories, inodes, staging } = volume.fs.status();
    t.same(
      { lookups, openFiles, openDirectories, staged: staging.usedBytes },
      { lookups: 0, openFiles: 0, openDirectories: 0, staged: 0 },
    );
    t.ok(inodes >= 1);
    t.same(readdirSync(join(volume.directory, 'state', 'staged')), [], 'no staged file is left');
  } finally {
    await volume.close();
  }
}

/** The daemon ends without bringing anything over, and another begins. */
const restart = (volume: TestVolume): Promise<void> => volume.remount(false, { writeBack: true });

const entry = async (volume: TestVolume, path: string): Promise<EntryReply> =>
  volume.with(path, async (_nodeid, found) => found);

const writes = (requests: Record<string, number>): Record<string, number> => {
  const { HeadObject: _h, ListObjectsV2: _l, GetObject: _g, ...rest } = requests;
  return rest;
};

t.test('close() answers before the store has the file, and the next daemon brings it over', async (t) => {
  await withWriteBack(t, async (volume) => {
    volume.requests();
    await volume.write('a', 'one');
    t.same(writes(volume.requests()), {}, 'no request');
    t.equal(volume.body('a'), undefined);
    t.equal(await volume.read('a'), 'one');
    await restart(volume);
    t.equal(await volume.read('a'), 'one');
    t.same(await volume.list(''), ['a']);
    t.equal(volume.body('a'), undefined);
    await volume.fs.flushAll();
    t.equal(volume.body('a'), 'one');
    t.same(writes(volume.requests()), { PutObject: 1 });
    await restart(volume);
    t.equal(await volume.read('a'), 'one');
    t.same(writes(volume.requests()), {}, 'once is enough');
  });
});

t.test('what is made and removed before its upload costs nothing', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.mkdir('d');
    volume.requests();
    for (let i = 0; i < 20; i++) await volume.write(`d/${i}`, 'x');
    for (let i = 0; i < 20; i++) await volume.unlink(`d/${i}`);
    await volume.rmdir('d');
    await volume.fs.flushAll();
    t.same(volume.requests(), {});
    t.same([...volume.memory.objects.keys()], []);
  });
});

t.test('a copy with its attributes is one PUT, and its rename before that changes where it goes', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.write('a', 'content');
    await volume.with('a', (nodeid) =>
      ok(volume.fs.setattr(ctx, nodeid, { mode: 0o600, mtime: { sec: 5, nsec: 7 }, killSuidgid: false })),
    );
    await volume.rename('a', 'b');
    volume.requests();
    await volume.fs.flushAll();
    t.same(volume.requests(), { PutObject: 1 });
    t.same([...volume.memory.objects.keys()], ['b']);
    const { metadata } = await volume.client.head('b');
    t.match(metadata, { mode: String(0o100600), mtime: '5.000000007' });
  });
});

t.test('a removal of 2,500 files is three requests', async (t) => {
  const volume = await TestVolume.open({ writeBack: true });
  await volume.put('d/', '');
  for (let i = 0; i < 2500; i++) await volume.put(`d/${i}`, 'x');
  t.equal((await volume.list('d', 500)).length, 2500);
  volume.requests();
  for (let i = 0; i < 2500; i++) await volume.unlink(`d/${i}`);
  await volume.rmdir('d');
  t.same(await volume.list(''), []);
  await volume.fs.flushAll();
  const { DeleteObjects, DeleteObject = 0, PutObject = 0 } = volume.requests();
  t.ok(DeleteObjects + DeleteObject <= 4, `${DeleteObjects} + ${DeleteObject}`);
  t.equal(PutObject, 0, 'no marker is made for what goes anyway');
  t.equal(volume.memory.objects.size, 0);
  await volume.close();
});

t.test('a directory whose last file goes stays', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('d/a', 'x');
    await volume.put('d/b', 'x');
    await volume.unlink('d/a');
    await volume.unlink('d/b');
    await volume.fs.flushAll();
    t.same([...volume.memory.objects.keys()], ['d/']);
    await volume.put('e/a', 'x');
    await volume.rename('e/a', 'd/a');
    await volume.fs.flushAll();
    t.same([...volume.memory.objects.keys()].sort(), ['d/', 'd/a', 'e/']);
  });
});

t.test('removals are remembered by the next daemon', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('d/a', 'x');
    await volume.put('d/b', 'y');
    await volume.unlink('d/a');
    await restart(volume);
    t.same(await volume.list('d'), ['b']);
    t.equal(await code(volume.read('d/a')), 'ENOENT');
    t.equal(volume.body('d/a'), 'x');
    await volume.fs.flushAll();
    t.same([...volume.memory.objects.keys()], ['d/b']);
    t.same(await volume.list('d'), ['b']);
  });
});

t.test('only the version that was removed is deleted', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('a', 'old');
    t.equal(await volume.read('a'), 'old');
    await volume.unlink('a');
    await volume.put('a', 'of somebody else');
    await volume.fs.flushAll();
    t.equal(volume.body('a'), 'of somebody else');
    volume.clock.advance(2000);
    t.equal(await volume.read('a'), 'of somebody else');
  });
});

t.test('a new file takes the place of a removed one in one request', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('a', 'old');
    await volume.unlink('a');
    await volume.write('a', 'new');
    volume.requests();
    await restart(volume);
    t.equal(await volume.read('a'), 'new');
    await volume.fs.flushAll();
    t.same(writes(volume.requests()), { PutObject: 1 });
    t.equal(volume.body('a'), 'new');
  });
});

t.test('the safe way to replace a file: written beside, and renamed over it', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('a', 'old');
    t.equal(await volume.read('a'), 'old');
    await volume.write('a.new', 'new');
    await volume.rename('a.new', 'a');
    t.equal(await volume.read('a'), 'new');
    volume.requests();
    await restart(volume);
    t.equal(await volume.read('a'), 'new');
    t.equal(volume.body('a'), 'old', 'until the new one is there');
    await volume.fs.flushAll();
    t.same(writes(volume.requests()), { PutObject: 1 });
    t.equal(volume.body('a'), 'new');
  });
});

t.test('files that are renamed in a chain, in a circle, and back', async (t) => {
  for (const restarts of [false, true]) {
    await withWriteBack(t, async (volume) => {
      for (const name of ['a', 'b', 'c', 'k']) await volume.put(name, `was ${name}`);
      await volume.list('');
      await volume.rename('a', 't');
      await volume.rename('b', 'a');
      await volume.rename('c', 'b');
      await volume.rename('t', 'c');
      await volume.rename('k', 'l');
      await volume.rename('l', 'k');
      if (restarts) await restart(volume);
      for (const [name, was] of Object.entries({ a: 'b', b: 'c', c: 'a', k: 'k' }))
        t.equal(await volume.read(name), `was ${was}`);
      volume.requests();
      await volume.fs.flushAll();
      const state = Object.fromEntries([...volume.memory.objects.keys()].map((key) => [key, volume.body(key)]));
      t.same(state, { a: 'was b', b: 'was c', c: 'was a', k: 'was k' });
    });
  }
});

t.test('RENAME_EXCHANGE', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('a', 'was a');
    await volume.put('d/b', 'was b');
    await volume.write('n', 'never uploaded');
    const exchange = (from: string, to: string): Promise<unknown> =>
      volume.withParent(from, (parent, name) =>
        volume.withParent(to, (newParent, newName) => ok(volume.fs.rename(ctx, parent, name, newParent, newName, 2))),
      );
    await exchange('a', 'd/b');
    t.equal(await volume.read('a'), 'was b');
    await exchange('a', 'n');
    await restart(volume);
    t.same(
      [await volume.read('a'), await volume.read('d/b'), await volume.read('n')],
      ['never uploaded', 'was a', 'was b'],
    );
    t.same(await volume.list(''), ['a', 'd', 'n']);
    await volume.fs.flushAll();
    t.same([volume.body('a'), volume.body('d/b'), volume.body('n')], ['never uploaded', 'was a', 'was b']);
    t.equal(await code(exchange('a', 'absent')), 'ENOENT');
    t.equal(await code(exchange('d', 'd/b')), 'EINVAL', 'one within the other');
    await exchange('a', 'd');
    t.same([await volume.read('d'), await volume.read('a/b')], ['never uploaded', 'was a'], 'a file and a directory');
    await volume.fs.flushAll();
    t.same([...volume.memory.objects.keys()].filter((key) => !key.endsWith('/')).sort(), ['a/b', 'd', 'n']);
  });
});

t.test('directories change places', async (t) => {
  for (const restarts of [false, true]) {
    await withWriteBack(t, async (volume) => {
      for (const name of ['x', 'sub/y']) await volume.put(`a/${name}`, `a ${name}`);
      for (const name of ['x', 'z']) await volume.put(`deep/b/${name}`, `b ${name}`);
      await volume.mkdir('new');
      volume.requests();
      await volume.rename('a', 'deep/b', 2);
      t.same(writes(volume.requests()), {}, 'at once');
      if (restarts) await restart(volume);
      await volume.write('a/late', 'came late');
      const look = async (): Promise<void> => {
        t.same(await volume.list(''), ['a', 'deep', 'new']);
        t.same(await volume.list('a'), ['late', 'x', 'z']);
        t.same(await volume.list('deep/b'), ['sub', 'x']);
        t.same([await volume.read('a/x'), await volume.read('deep/b/x')], ['b x', 'a x']);
      };
      await look();
      await volume.fs.flushAll();
      await look();
      t.same(
        [...volume.memory.objects.keys()].filter((key) => !key.endsWith('/')).sort(),
        ['a/late', 'a/x', 'a/z', 'deep/b/sub/y', 'deep/b/x'],
        'nothing is left where they were put for a while',
      );
      await volume.rename('new', 'a', 2);
      await volume.fs.flushAll();
      t.same([await volume.list('new'), await volume.list('a')], [['late', 'x', 'z'], []]);
    });
  }
});

t.test('a directory of 3,000 files has its new name at once', async (t) => {
  for (const restarts of [false, true]) {
    await withWriteBack(t, async (volume) => {
      for (let i = 0; i < 3000; i++) await volume.put(`d/s${i % 3}/${i}`, `content ${i}`);
      await volume.entry('d').then(({ nodeid }) => volume.fs.forget(nodeid, 1));
      volume.requests();
      await volume.rename('d', 'e');
      t.same(writes(volume.requests()), {});
      if (restarts) await restart(volume);
      t.same(await volume.list(''), ['e']);
      t.equal((await volume.list('e/s1', 300)).length, 1000);
      t.equal(await volume.read('e/s1/1'), 'content 1');
      // What happens in it before its keys are moved.
      await volume.unlink('e/s1/1');
      await volume.rename('e/s1/4', 'e/s2/was4');
      await volume.rename('e/s1/7', 'out7');
      await volume.write('e/s0/0', 'rewritten');
      await volume.write('e/s0/new', 'new');
      await volume.mkdir('d');
      await volume.write('d/in the old place', 'x');
      if (restarts) await restart(volume);
      await volume.fs.flushAll();
      const keys = [...volume.memory.objects.keys()];
      t.same(
        keys.filter((key) => key.startsWith('d/')),
        ['d/', 'd/in the old place'],
      );
      t.equal(volume.body('e/s0/0'), 'rewritten');
      t.equal(volume.body('e/s0/new'), 'new');
      t.equal(volume.body('e/s1/1'), undefined);
      t.equal(volume.body('e/s2/was4'), 'content 4');
      t.equal(volume.body('out7'), 'content 7');
      const inE = keys.filter((key) => key.startsWith('e/'));
      t.equal(inE.length, 3000 - 2 + 1, inE.filter((key) => !/\d$/.test(key)).join());
      t.equal(await volume.read('e/s2/2'), 'content 2');
      t.equal((await volume.list('e/s1', 300)).length, 1000 - 3);
    });
  }
});

t.test('changes under an upload: what is there at the end is what the program wrote last', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.write('a', 'first');
    // A write comes while the upload is under way.
    const duringNextPut = (before: () => Promise<void>): void =>
      volume.client.add({ method: 'put', times: 1, action: { kind: 'call', before } });
    duringNextPut(() => volume.write('a', 'second'));
    await volume.fs.flushAll();
    t.equal(volume.body('a'), 'second');
    await volume.write('b', 'to go');
    duringNextPut(() => volume.unlink('b'));
    await volume.fs.flushAll();
    t.equal(volume.body('b'), undefined);
    await volume.write('c', 'to move');
    duringNextPut(() => volume.rename('c', 'd'));
    await volume.fs.flushAll();
    t.same([volume.body('c'), volume.body('d')], [undefined, 'to move']);
    await volume.write('e', 'over it');
    await volume.write('f', 'under it');
    await volume.fs.flushAll();
    await volume.write('f', 'again');
    duringNextPut(() => volume.rename('e', 'f'));
    await volume.fs.flushAll();
    t.same([volume.body('e'), volume.body('f')], [undefined, 'over it']);
    await volume.mkdir('g');
    duringNextPut(() => volume.rmdir('g'));
    await volume.fs.flushAll();
    t.equal(volume.body('g/'), undefined);
  });
});

t.test(
  'a file that is removed under its upload is not kept in the cache, which is no trouble to tell of',
  async (t) => {
    await withWriteBack(t, async (volume) => {
      const told: string[] = [];
      const logger = pino({ level: 'warn' }, { write: (line: string) => void told.push(line) });
      await volume.remount(false, { writeBack: true, logger });
      for (const size of [100, 100 * KiB]) {
        await volume.write('a', Buffer.alloc(size, 'a'));
        volume.client.add({ method: 'put', times: 1, action: { kind: 'call', before: () => volume.unlink('a') } });
        await volume.fs.flushAll();
        t.same([...volume.memory.objects.keys()], []);
      }
      t.same(told, []);
    });
  },
);

t.test('fsync waits for the store and tells its failure; the data stays and goes later', async (t) => {
  await withWriteBack(t, async (volume) => {
    const file = await volume.create('a');
    await volume.writeAt(file, 0, 'one');
    await ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false));
    t.equal(volume.body('a'), 'one');
    await volume.writeAt(file, 3, 'two');
    volume.client.add({ method: 'put', times: 1, action: { kind: 'fail', error: 'AccessDenied' } });
    t.equal(await code(ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false))), 'EACCES');
    t.equal(volume.body('a'), 'one');
    await ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false));
    t.equal(volume.body('a'), 'onetwo');
    await volume.closeFile(file);
  });
});

t.test('somebody else writes the file meanwhile: theirs stays, ours is beside it', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('a', 'base');
    const file = await volume.open('a', O_RDWR | O_TRUNC);
    await volume.writeAt(file, 0, 'ours');
    await volume.put('a', 'theirs');
    t.equal(await code(ok(volume.fs.fsync(ctx, file.nodeid, file.fh, false))), 'ESTALE');
    await volume.closeFile(file);
    t.equal(volume.body('a'), 'theirs');
    const [copy] = volume.fs.status().conflicts;
    t.match(copy, { path: '/a', copy: /^\/a\.conflict-here-/ });
    t.equal(volume.body(copy.copy.slice(1)), 'ours');
    t.equal(await volume.read('a'), 'theirs');
    // Renamed onto a name that somebody else gave meanwhile.
    await volume.put('b', 'ours too');
    await volume.rename('b', 'c');
    await volume.put('c', 'theirs too');
    await volume.fs.flushAll();
    t.equal(volume.body('c'), 'theirs too');
    t.equal(volume.body('b'), undefined);
    t.equal(volume.body(volume.fs.status().conflicts[1].copy.slice(1)), 'ours too');
  });
});

t.test('an upload whose answer was lost with the daemon is no conflict', async (t) => {
  await withWriteBack(t, async (volume) => {
    const body = 'one'.repeat(20_000);
    await volume.write('a', body);
    const journal = join(volume.directory, 'state', 'journal');
    const before = readFileSync(journal);
    const staged = readdirSync(join(volume.directory, 'state', 'staged'))[0];
    const bytes = readFileSync(join(volume.directory, 'state', 'staged', staged));
    await volume.fs.flushAll();
    t.equal(volume.body('a'), body);
    await volume.fs.close();
    // As it was before the answer came.
    writeFileSync(journal, before);
    mkdirSync(join(volume.directory, 'state', 'staged'), { recursive: true });
    writeFileSync(join(volume.directory, 'state', 'staged', staged), bytes);
    await volume.mount({ writeBack: true });
    await volume.fs.flushAll();
    t.same(volume.fs.status().conflicts, []);
    t.same([...volume.memory.objects.keys()], ['a']);
  });
});

t.test('a partly written large object after a restart: only what was written is sent', async (t) => {
  await withWriteBack(t, async (volume) => {
    const base = Buffer.alloc(20 * MiB, 'b');
    await volume.memory.put('a', base, {});
    const file = await volume.open('a', O_WRONLY);
    await volume.writeAt(file, 10 * MiB, 'patch');
    await volume.closeFile(file);
    await restart(volume);
    t.equal((await entry(volume, 'a')).attributes.size, 20 * MiB);
    const sent = volume.memory.counters.bytesSent;
    await volume.fs.flushAll();
    t.ok(volume.memory.counters.bytesSent - sent < 11 * MiB);
    Buffer.from('patch').copy(base, 10 * MiB);
    t.ok(Buffer.from(volume.memory.objects.get('a')?.body ?? []).equals(base));
  });
});

t.test('a copy inside the store is there when it is closed: the journal cannot hold it', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('a', 'copied');
    const from = await volume.open('a');
    const to = await volume.create('b');
    t.equal(await volume.fs.copyFileRange?.(ctx, { ...from, offset: 0 }, { ...to, offset: 0 }, 6), 6);
    await volume.closeFile(to);
    t.equal(volume.body('b'), 'copied');
    await volume.closeFile(from);
  });
});

t.test('a copy inside the store that landed at the kill is what the file is, from the first look on', async (t) => {
  const volume = new TestVolume();
  const lifeline = new Lifeline(volume.client, () => 0, []);
  await volume.put('a', 'copied');
  await volume.put('b', 'was before');
  await volume.mount({ writeBack: true, client: lifeline.client });
  try {
    const from = await volume.open('a');
    const to = await volume.open('b', O_WRONLY | O_TRUNC);
    t.equal(await volume.fs.copyFileRange?.(ctx, { ...from, offset: 0 }, { ...to, offset: 0 }, 6), 6);
    let closing: Promise<string> | undefined;
    const landed = new Promise<void>((resolve) => {
      lifeline.onDone = (operation) => {
        if (operation !== 'copy') return;
        lifeline.kill();
        resolve();
      };
      closing = code(volume.closeFile(to));
    });
    await landed;
    await volume.kill({ writeBack: true });
    await volume.with('b', async (_, { attributes }) => t.equal(attributes.size, 6));
    t.equal(await volume.read('b'), 'copied');
    await volume.fs.flushAll();
    t.equal(volume.body('b'), 'copied');
    t.same(volume.fs.status().conflicts, []);
    t.not(await closing, 'ok', 'nobody was told that it worked');
  } finally {
    await volume.close();
  }
});

t.test('an upload that the daemon did not end is aborted by the next', async (t) => {
  for (const method of ['createUpload', 'uploadPart', 'completeUpload'] as const) {
    await withWriteBack(t, async (volume) => {
      await volume.write('a', Buffer.alloc(20 * MiB, 'a'));
      // The daemon is gone in the middle: nothing that it does from here on counts.
      const journal = join(volume.directory, 'state', 'journal');
      let frozen: Buffer | undefined;
      const never = new Promise<never>(() => undefined);
      volume.client.add({
        method,
        times: 1,
        action: {
          kind: 'call',
          before: () => {
            frozen = readFileSync(journal);
            return never;
          },
        },
      });
      void volume.fs.flushAll();
      while (frozen === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      if (method !== 'createUpload') t.equal((await volume.memory.listUploads('')).length, 1);
      writeFileSync(journal, frozen);
      volume.client.clear();
      await volume.mount({ writeBack: true });
      t.same(await volume.memory.listUploads(''), []);
      await volume.fs.flushAll();
      t.equal(volume.memory.objects.get('a')?.body.length, 20 * MiB);
    });
  }
});

t.test('attributes, links and special nodes wait too', async (t) => {
  await withWriteBack(t, async (volume) => {
    await volume.put('a', 'x');
    await volume.with('a', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode: 0o640, killSuidgid: false })));
    await volume
      .withParent('l', (parent, name) => ok(volume.fs.symlink(ctx, parent, name, Buffer.from('a'))))
      .then((made) => volume.fs.forget((made as EntryReply).nodeid, 1));
    await volume.mkdir('d');
    await volume.with('d', (nodeid) => ok(volume.fs.setattr(ctx, nodeid, { mode: 0o700, killSuidgid: false })));
    await restart(volume);
    t.equal((await entry(volume, 'a')).attributes.mode, 0o100640);
    t.equal((await entry(volume, 'd')).attributes.mode, 0o040700);
    t.equal(Buffer.from(await volume.with('l', (nodeid) => ok(volume.fs.readlink(ctx, nodeid)))).toString(), 'a');
    volume.requests();
    await volume.fs.flushAll();
    t.same(writes(volume.requests()), { CopyObject: 1, PutObject: 2 });
    t.equal((await volume.client.head('d/')).metadata.mode, String(0o040700));
    t.equal((await volume.client.head('a')).metadata.mode, String(0o100640));
    t.equal(volume.body('l'), 'a');
  });
});

t.test('an open file that is removed keeps its bytes until it is closed', async (t) => {
  await withWriteBack(t, async (volume) => {
    const body = Buffer.alloc(300 * KiB, 'q');
    await volume.memory.put('a', body, {});
    const file = await volume.open('a');
    await volume.unlink('a');
    await volume.fs.flushAll();
    t.ok(volume.memory.objects.has('a'), 'held');
    await volume.write('b', 'x');
    await volume.rename('b', 'a');
    await volume.fs.flushAll();
    t.equal(volume.body('a'), 'x');
    t.ok((await volume.readAt(file, 200 * KiB, 100 * KiB)).equals(body.subarray(200 * KiB)), 'what it opened');
    await volume.closeFile(file);
  });
});

t.test('with write-back off the next mount brings over what waits, before it answers', async (t) => {
  const volume = await TestVolume.open({ writeBack: true });
  await volume.write('a', 'one');
  await volume.mkdir('d');
  await volume.remount(false, { writeBack: false, stateDirectory: join(volume.directory, 'state') });
  t.same([...volume.memory.objects.keys()].sort(), ['a', 'd/']);
  t.notOk(existsSync(join(volume.directory, 'state', 'journal')));
  await volume.close();
});

for (const isReplaced of [true, false])
  t.test(
    `a renamed file whose object somebody ${isReplaced ? 'replaced' : 'deleted'} before it was copied`,
    async (t) => {
      await withWriteBack(t, async (volume) => {
        for (const name of ['cached', 'unknown']) await volume.put(name, `${name} bytes`);
        t.equal(await volume.read('cached'), 'cached bytes');
        for (const name of ['cached', 'unknown']) {
          await volume.rename(name, `${name}-moved`);
          if (isReplaced) await volume.put(name, 'theirs');
          else await volume.memory.delete(name);
        }
        await volume.fs.flushAll();
        t.same(volume.fs.status().dirty, [], 'nothing waits for what cannot be');
        t.equal(volume.body('cached-moved'), 'cached bytes', 'this machine had all of it');
        t.equal(volume.body('unknown-moved'), undefined);
        t.equal(await code(volume.read('unknown-moved')), 'ENOENT');
        for (const name of ['cached', 'unknown']) t.equal(volume.body(name), isReplaced ? 'theirs' : undefined);
      });
    },
  );

t.test(
  'since when something waits is known over a remount, and from the remount on in a journal that lacks it',
  async (t) => {
    await withWriteBack(t, async (volume) => {
      const begun = volume.clock.now();
      await volume.mkdir('d');
      await volume.write('d/f', 'bytes');
      const since = (): Record<string, number | undefined> =>
        Object.fromEntries(volume.fs.status().dirty.map(({ path, since: at }) => [path, at]));
      volume.clock.advance(3_600_000);
      await volume.write('d/f', 'again');
      await restart(volume);
      t.same(since(), { '/d': begun, '/d/f': begun });
      t.equal(volume.fs.status().waiting?.oldest?.since, begun);
      await volume.fs.close();
      const journal = Journal.open(join(volume.directory, 'state', 'journal'), 'bucket/', silentLogger);
      const older = [...journal.entries()].map(
        ([id, { value }]) => [id, { ...(value as object), since: undefined }] as const,
      );
      journal.append(older);
      await journal.close();
      volume.clock.advance(1_000);
      await volume.mount({ writeBack: true });
      t.same(since(), { '/d': volume.clock.now(), '/d/f': volume.clock.now() });
      t.equal(await volume.read('d/f'), 'again');
    });
  },
);
