/** `--exclusive=s3`: of two hosts that make one name at once, one has it made. Without a kernel, over one store in memory. */
import t from 'tap';
import type { CreateReply, EntryReply } from '../../src/fuse/operations.js';
import { code, ctx, O_EXCL, O_RDWR, O_WRONLY, ok, TestVolume } from './volume-fixture.js';

type Tap = Pick<typeof t, 'same' | 'equal' | 'ok' | 'match' | 'test'>;

const NOREPLACE = 1;
const NAMES = 40;

interface Two {
  readonly a: TestVolume;
  readonly b: TestVolume;
}

/** Two mounts of one store whose clocks show the same: what they make at once has the same times. */
async function withTwo(t: Tap, writeBack: boolean, work: (two: Two) => Promise<void>): Promise<void> {
  const a = await TestVolume.open({ writeBack, exclusive: 's3' });
  const b = await TestVolume.open({ writeBack, exclusive: 's3', client: a.client });
  try {
    await work({ a, b });
    for (const { fs } of [a, b]) {
      t.same(await fs.flushAll(), []);
      const { openFiles, staging, conflicts } = fs.status();
      t.same({ openFiles, staged: staging.usedBytes, conflicts }, { openFiles: 0, staged: 0, conflicts: [] });
    }
  } finally {
    await a.close();
    await b.close();
  }
}

const createNew = async (volume: TestVolume, path: string, text = ''): Promise<void> => {
  const file = await volume.create(path, O_WRONLY | O_EXCL);
  if (text !== '') await volume.writeAt(file, 0, text);
  await volume.closeFile(file);
};

const symlink = (volume: TestVolume, name: string): Promise<unknown> =>
  ok<EntryReply>(volume.fs.symlink(ctx, 1, name, Buffer.from('target')));
const mknod = (volume: TestVolume, name: string): Promise<unknown> =>
  ok<EntryReply>(volume.fs.mknod!(ctx, 1, name, 0o010644, 0, 0));
const rename = (volume: TestVolume, from: string, to: string): Promise<number> =>
  ok<number>(volume.fs.rename(ctx, 1, from, 1, to, NOREPLACE));

for (const writeBack of [false, true]) {
  t.test(`write-back ${writeBack ? 'on' : 'off'}`, async (t) => {
    const makings: Record<string, (volume: TestVolume, name: string) => Promise<unknown>> = {
      'O_EXCL create': createNew,
      mkdir: (volume, name) => volume.mkdir(name),
      symlink,
      mknod,
    };
    for (const [what, make] of Object.entries(makings))
      t.test(`${what}: one of two wins each name`, (t) =>
        withTwo(t, writeBack, async ({ a, b }) => {
          for (let i = 0; i < NAMES; i++) {
            const outcomes = await Promise.all([a, b].map((volume) => code(make(volume, `n${i}`))));
            t.same([...outcomes].sort(), ['EEXIST', 'ok'], `n${i}`);
            for (const volume of [a, b]) t.equal(await code(volume.entry(`n${i}`)), 'ok', 'both see it at once');
          }
          t.equal(a.memory.objects.size, NAMES);
        }),
      );

    t.test('a rename without replacing: one of two wins the name, the other keeps its own', (t) =>
      withTwo(t, writeBack, async ({ a, b }) => {
        // The same bytes: only who renamed tells whose it is.
        for (let i = 0; i < NAMES; i++) {
          await a.write(`a${i}`, 'lock');
          await b.write(`b${i}`, 'lock');
          const outcomes = await Promise.all([code(rename(a, `a${i}`, `n${i}`)), code(rename(b, `b${i}`, `n${i}`))]);
          t.same([...outcomes].sort(), ['EEXIST', 'ok'], `n${i}`);
          const [loser, own, other] = outcomes[0] === 'ok' ? [b, `b${i}`, `a${i}`] : [a, `a${i}`, `b${i}`];
          t.equal(await loser.read(own), 'lock');
          t.equal(await loser.read(`n${i}`), 'lock');
          await loser.fs.flushAll();
          t.same([a.body(own), a.body(other), a.body(`n${i}`)], ['lock', undefined, 'lock']);
        }
      }),
    );

    t.test('a name that was absent a moment ago is asked for', (t) =>
      withTwo(t, writeBack, async ({ a }) => {
        await a.put('d/x', '');
        await a.mkdir('own');
        await a.list('');
        for (const name of ['f', 'g', 'h', 'own/f']) t.equal(await code(a.entry(name)), 'ENOENT');
        for (const key of ['f', 'g/below', 'h/', 'own/f']) await a.put(key, '');
        t.equal(await code(createNew(a, 'f')), 'EEXIST');
        t.equal(await code(createNew(a, 'g')), 'EEXIST', 'a directory without a marker');
        t.equal(await code(a.mkdir('h')), 'EEXIST');
        t.equal(await code(a.mkdir('own/f')), 'EEXIST', 'a file');
        for (const name of ['f', 'g', 'h', 'own/f']) t.equal(await code(a.entry(name)), 'ok', `${name} is seen then`);
      }),
    );

    t.test('what this mount removed or renamed a moment ago is in nobody’s way', (t) =>
      withTwo(t, writeBack, async ({ a }) => {
        for (const name of ['removed', 'renamed']) {
          await a.put(name, 'old');
          t.equal(await a.read(name), 'old');
        }
        await a.put('dir/', '');
        await a.list('dir');
        await a.unlink('removed');
        await a.rename('renamed', 'elsewhere');
        await a.rmdir('dir');
        await createNew(a, 'removed', 'new');
        await createNew(a, 'renamed', 'new');
        await a.mkdir('dir');
        await a.fs.flushAll();
        const keys = [...a.memory.objects.keys()].sort();
        t.same(keys, ['dir/', 'elsewhere', 'removed', 'renamed']);
        t.same([a.body('removed'), a.body('renamed'), a.body('elsewhere')], ['new', 'new', 'old']);
      }),
    );

    t.test('a store that does not answer: the error of the call, and the name can be made afterwards', (t) =>
      withTwo(t, writeBack, async ({ a }) => {
        for (const action of [
          { kind: 'fail', error: 'Timeout' } as const,
          { kind: 'fail', error: 'AccessDenied' } as const,
        ]) {
          a.client.add({ method: 'put', times: 2, action });
          const wanted = action.error === 'Timeout' ? 'EIO' : 'EACCES';
          t.equal(await code(createNew(a, 'f')), wanted);
          t.equal(await code(a.mkdir('d')), wanted);
          t.same(await a.list(''), []);
          t.same(a.fs.status().dirty, []);
        }
        await createNew(a, 'f', 'bytes');
        await a.mkdir('d');
        await a.fs.flushAll();
        t.same([...a.memory.objects.keys()].sort(), ['d/', 'f']);
        t.equal(a.body('f'), 'bytes');
      }),
    );

    t.test('what is written then replaces the empty object', (t) =>
      withTwo(t, writeBack, async ({ a, b }) => {
        const file = await a.create('f', O_RDWR | O_EXCL);
        t.equal(a.body('f'), '', 'it is there before anything is written');
        t.equal(await code(createNew(b, 'f')), 'EEXIST');
        await a.writeAt(file, 0, 'content');
        await a.closeFile(file);
        await a.fs.flushAll();
        t.equal(a.body('f'), 'content');
        b.clock.advance(2_000);
        t.equal(await b.read('f'), 'content');
      }),
    );

    t.test('what has to be new costs two HEADs, a LIST and a PUT, and a rename a copy', async (t) => {
      const link = async (volume: TestVolume): Promise<void> => {
        const { entry, open } = await ok<CreateReply>(volume.fs.tmpfile!(ctx, 1, 0o600, 0, O_RDWR));
        await ok<EntryReply>(volume.fs.link!(ctx, entry.nodeid, 1, 'n'));
        await volume.closeFile({ nodeid: entry.nodeid, fh: open.fh });
      };
      const makings: Record<string, (volume: TestVolume) => Promise<unknown>> = {
        create: (volume) => createNew(volume, 'n'),
        mkdir: (volume) => volume.mkdir('n'),
        symlink: (volume) => symlink(volume, 'n'),
        mknod: (volume) => mknod(volume, 'n'),
        link,
        rename: (volume) => rename(volume, 'old', 'n'),
      };
      for (const [what, make] of Object.entries(makings)) {
        const volume = await TestVolume.open({ writeBack, exclusive: 's3' });
        try {
          await volume.put('old', 'data');
          t.equal(await volume.read('old'), 'data');
          volume.requests();
          t.equal(await code(make(volume)), 'ok', what);
          const { DeleteObject: _, ...cost } = volume.requests();
          if (what !== 'rename') t.same(cost, { HeadObject: 2, ListObjectsV2: 1, PutObject: 1 }, what);
          else t.match(cost, { CopyObject: 1, PutObject: undefined }, what);
        } finally {
          await volume.close();
        }
      }
    });

    t.test('a name that is known to be taken is not asked for again within the metadata TTL', (t) =>
      withTwo(t, writeBack, async ({ a }) => {
        for (const name of ['taken', 'own']) await a.put(name, 'theirs');
        for (const name of ['taken', 'own']) t.equal(await code(a.entry(name)), 'ok');
        a.requests();
        t.equal(await code(createNew(a, 'taken')), 'EEXIST');
        t.equal(await code(a.mkdir('taken')), 'EEXIST');
        t.equal(await code(rename(a, 'own', 'taken')), 'EEXIST');
        t.same(a.requests(), {});
        await a.memory.delete('taken');
        a.clock.advance(61_000);
        t.equal(await code(createNew(a, 'taken')), 'ok', 'then it is');
      }),
    );

    t.test('O_CREAT alone, and the default, ask for nothing more', async (t) => {
      const volume = await TestVolume.open({ writeBack, exclusive: 's3' });
      const host = await TestVolume.open({ writeBack });
      try {
        for (const [one, flags] of [
          [volume, O_WRONLY],
          [host, O_WRONLY | O_EXCL],
        ] as const) {
          await one.list('');
          one.requests();
          const file = await one.create('f', flags);
          t.same(one.requests(), {});
          await one.closeFile(file);
        }
      } finally {
        await volume.close();
        await host.close();
      }
    });
  });
}

t.test('write-back: where only the answer was lost, the file that could not be made goes again', (t) =>
  withTwo(t, true, async ({ a }) => {
    a.client.add({ method: 'put', times: 1, action: { kind: 'lose-answer', error: 'Timeout' } });
    t.equal(await code(createNew(a, 'f')), 'EIO');
    t.equal(a.body('f'), '');
    await a.fs.flushAll();
    t.equal(a.body('f'), undefined);
  }),
);
