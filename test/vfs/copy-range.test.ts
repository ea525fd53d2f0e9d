/** copy_file_range without a kernel: what moves, what the copy holds whatever becomes of its source, and what fails. */
import fc from 'fast-check';
import t from 'tap';
import { MiB } from '../../src/constants.js';
import { type CallError, code, ctx, O_RDWR, O_TRUNC, O_WRONLY, ok, TestVolume } from './volume-fixture.js';

type File = { nodeid: number; fh: number };

async function withVolume(work: (volume: TestVolume) => Promise<void>, overrides = {}): Promise<void> {
  const volume = await TestVolume.open(overrides);
  volume.holds = true;
  try {
    await work(volume);
    if (volume.fs.status().openFiles !== 0) throw new Error('a source is still open');
  } finally {
    await volume.close();
  }
}

function copy(volume: TestVolume, from: File, start: number, to: File, at: number, length: number): Promise<number> {
  return ok<number>(volume.fs.copyFileRange!(ctx, { ...from, offset: start }, { ...to, offset: at }, length));
}

/** Bytes that tell their place. */
function pattern(size: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(size, seed);
  for (let at = 0; at + 4 <= size; at += 512) bytes.writeUInt32LE((at ^ (seed * 7919)) >>> 0, at);
  return bytes;
}

const bodyOf = (volume: TestVolume, key: string): Buffer => Buffer.from(volume.memory.objects.get(key)?.body ?? '');

t.test('a whole file is one CopyObject and moves no data', (t) =>
  withVolume(async (volume) => {
    const body = pattern(20 * MiB);
    const headers = { contentType: 'x/y', cacheControl: 'no-store' };
    await volume.memory.put('a', body, { headers, metadata: { colour: 'green' }, tags: [['k', 'v']] });
    const a = await volume.open('a');
    const b = await volume.create('b.txt', O_RDWR);
    volume.requests();
    const before = volume.memory.counters;
    t.equal(await copy(volume, a, 0, b, 0, 2 ** 40), 20 * MiB);
    t.same(volume.requests(), {});
    await volume.closeFile(b);
    await volume.closeFile(a);
    t.same(volume.requests(), { CopyObject: 1 });
    const after = volume.memory.counters;
    t.same([after.bytesReceived, after.bytesSent], [before.bytesReceived, before.bytesSent]);
    t.ok(bodyOf(volume, 'b.txt').equals(body));
    const object = volume.memory.objects.get('b.txt')!;
    t.match(object, { headers: { contentType: 'text/plain' }, metadata: { mode: String(0o100644) }, tags: [] });
    t.notOk(object.headers.cacheControl ?? object.metadata.colour, 'attributes are the new file’s own');
    t.equal((await volume.entry('b.txt')).attributes.size, 20 * MiB);
    const again = await volume.open('b.txt');
    t.ok((await volume.readAt(again, 5 * MiB, 4096)).equals(body.subarray(5 * MiB, 5 * MiB + 4096)));
    await volume.closeFile(again);
  }),
);

t.test('ranges become parts that are copied; what is changed over them is sent', (t) =>
  withVolume(async (volume) => {
    const [one, two] = [pattern(30 * MiB, 1), pattern(12 * MiB, 2)];
    await volume.memory.put('one', one);
    await volume.memory.put('two', two);
    const [a, b] = [await volume.open('one'), await volume.open('two')];
    const c = await volume.create('c');
    t.equal(await copy(volume, a, 3, c, 0, 20 * MiB), 20 * MiB);
    t.equal(await copy(volume, b, 0, c, 20 * MiB, 12 * MiB), 12 * MiB);
    await volume.writeAt(c, 8 * MiB, 'changed');
    const want = Buffer.concat([one.subarray(3, 20 * MiB + 3), two]);
    want.write('changed', 8 * MiB);
    t.ok((await volume.readAt(c, 8 * MiB - 100, 1000)).equals(want.subarray(8 * MiB - 100, 8 * MiB + 900)));
    volume.requests();
    await volume.closeFile(c);
    const { UploadPartCopy = 0, UploadPart = 0, CopyObject = 0, PutObject = 0 } = volume.requests();
    t.same([UploadPartCopy, UploadPart, CopyObject, PutObject], [3, 1, 0, 0]);
    t.ok(bodyOf(volume, 'c').equals(want));
    await volume.closeFile(a);
    await volume.closeFile(b);
  }),
);

t.test('what cannot be noted is left to the kernel', (t) =>
  withVolume(async (volume) => {
    await volume.put('a', 'some bytes');
    const a = await volume.open('a', O_RDWR);
    const b = await volume.create('b');
    t.equal(await code(copy(volume, a, 0, a, 100, 5)), 'EOPNOTSUPP', 'within one file');
    t.equal(await copy(volume, a, 10, b, 0, 5), 0, 'at the end');
    await volume.writeAt(a, 0, 'S');
    t.equal(await code(copy(volume, a, 0, b, 0, 5)), 'EOPNOTSUPP', 'not in the store yet');
    await volume.closeFile(a);
    const r = await volume.open('a');
    t.equal(await code(copy(volume, r, 0, r, 100, 5)), 'EBADF');
    t.equal(await code(copy(volume, r, 0, b, 2 ** 46, 5)), 'EFBIG');
    await volume.closeFile(r);
    await volume.closeFile(b);
  }),
);

const FATES: Record<string, (volume: TestVolume) => Promise<void>> = {
  removed: (volume) => volume.unlink('a'),
  renamed: (volume) => volume.rename('a', 'elsewhere'),
  'replaced by a rename': async (volume) => {
    await volume.write('other', 'other bytes');
    await volume.rename('other', 'a');
  },
  overwritten: (volume) => volume.write('a', 'other bytes'),
  'changed in part': async (volume) => {
    const file = await volume.open('a', O_RDWR);
    await volume.writeAt(file, 7 * MiB, 'other');
    await volume.closeFile(file);
  },
  'given other attributes': (volume) =>
    volume.with('a', async (nodeid) => {
      await ok(volume.fs.setattr(ctx, nodeid, { mode: 0o600, killSuidgid: false }));
    }),
};

for (const [fate, happen] of Object.entries(FATES)) {
  for (const cached of [false, true]) {
    t.test(`the source is ${fate} here${cached ? ', and was read before,' : ''} while its copy is open`, (t) =>
      withVolume(async (volume) => {
        const body = pattern(16 * MiB, 3);
        // A multipart object: its ETag changes with every copy of it.
        const id = await volume.memory.createUpload('a');
        const part = await volume.memory.uploadPart('a', id, 1, body);
        await volume.memory.completeUpload('a', id, [part], { size: body.length });
        if (cached) await volume.read('a');
        const a = await volume.open('a');
        const b = await volume.create('b');
        await copy(volume, a, 0, b, 0, 16 * MiB);
        await volume.closeFile(a);
        await happen(volume);
        t.ok((await volume.readAt(b, 7 * MiB, 4096)).equals(body.subarray(7 * MiB, 7 * MiB + 4096)), 'read before');
        await volume.closeFile(b);
        t.ok(bodyOf(volume, 'b').equals(body));
        t.equal(volume.fs.status().conflicts.length, 0);
        t.equal(volume.fs.status().dirty.length, 0);
        await volume.fs.sync([]);
        if (fate === 'removed') t.notOk(volume.memory.objects.has('a'), 'the object goes in the end');
      }),
    );
  }
}

t.test('somebody else replaces the source: cached bytes are sent', (t) =>
  withVolume(async (volume) => {
    const body = pattern(9 * MiB, 4);
    await volume.memory.put('a', body);
    await volume.read('a');
    const a = await volume.open('a');
    const b = await volume.create('b');
    await copy(volume, a, 0, b, 0, 9 * MiB);
    await volume.put('a', 'theirs');
    await volume.closeFile(b);
    await volume.closeFile(a);
    t.ok(bodyOf(volume, 'b').equals(body));
    t.equal(volume.fs.status().conflicts.length, 0);
    t.equal(volume.body('a'), 'theirs');
  }),
);

for (const how of ['replaces', 'deletes'] as const) {
  t.test(`somebody else ${how} the source and it is not cached: close fails, and nothing wrong is written`, (t) =>
    withVolume(async (volume) => {
      await volume.memory.put('a', pattern(9 * MiB, 4));
      const a = await volume.open('a');
      const b = await volume.create('b');
      await copy(volume, a, 0, b, 0, 9 * MiB);
      if (how === 'deletes') await volume.memory.delete('a');
      else await volume.memory.put('a', pattern(9 * MiB, 5));
      t.equal(await code(volume.closeFile(b)), 'ESTALE');
      t.notOk(volume.memory.objects.has('b'));
      t.same([...volume.memory.objects.keys()], how === 'deletes' ? [] : ['a'], 'no conflict copy');
      t.equal(volume.fs.status().dirty.length, 1, 'it stays staged');
      await volume.closeFile(a);
      await volume.unlink('b');
    }),
  );
}

t.test('a conflict at the target is still a conflict', (t) =>
  withVolume(async (volume) => {
    const body = pattern(9 * MiB, 4);
    await volume.memory.put('a', body);
    const a = await volume.open('a');
    const b = await volume.create('b');
    await copy(volume, a, 0, b, 0, 9 * MiB);
    await volume.put('b', 'theirs');
    t.equal(await code(volume.closeFile(b)), 'ESTALE');
    t.equal(volume.body('b'), 'theirs');
    const [conflict] = volume.fs.status().conflicts;
    t.ok(bodyOf(volume, conflict.copy.slice(1)).equals(body));
    await volume.closeFile(a);
  }),
);

const names = ['a', 'b', 'c'];
const name = fc.constantFrom(...names);
const MAX = 40_000;
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('copy' as const),
      from: name,
      to: name,
      start: fc.nat(MAX),
      at: fc.nat(MAX),
      length: fc.oneof(fc.nat(MAX), fc.constant(2 ** 33)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('write' as const),
      to: name,
      at: fc.nat(MAX),
      length: fc.integer({ min: 1, max: 9_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('truncate' as const), to: name, at: fc.nat(MAX) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('close' as const), to: name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('remove' as const), to: name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('rename' as const), from: name, to: name }) },
);

t.test('random copies, writes, removals and renames: every file is what it would be elsewhere', async (t) => {
  const run = async (steps: (typeof step extends fc.Arbitrary<infer T> ? T : never)[]): Promise<boolean> => {
    const volume = await TestVolume.open({ openTtlMs: 0 });
    volume.holds = true;
    const open = new Map<string, File>();
    const model = new Map<string, Buffer>();
    const handle = async (key: string): Promise<File> => {
      let file = open.get(key);
      if (file === undefined) {
        file = model.has(key) ? await volume.open(key, O_RDWR) : await volume.create(key, O_RDWR);
        open.set(key, file);
        if (!model.has(key)) model.set(key, Buffer.alloc(0));
      }
      return file;
    };
    const put = (key: string, at: number, bytes: Buffer): void => {
      const old = model.get(key)!;
      const grown = Buffer.alloc(Math.max(old.length, at + bytes.length));
      old.copy(grown);
      bytes.copy(grown, at);
      model.set(key, grown);
    };
    const close = async (key: string): Promise<void> => {
      const file = open.get(key);
      open.delete(key);
      if (file !== undefined) await volume.closeFile(file);
    };
    try {
      for (const [seed, key] of names.entries()) {
        model.set(key, pattern(20_000 + seed * 3_000, seed + 1));
        await volume.memory.put(key, model.get(key)!);
      }
      volume.clock.advance(5_000);
      for (const s of steps) {
        if (s.op === 'copy') {
          const [from, to] = [await handle(s.from), await handle(s.to)];
          const bytes = Buffer.from(model.get(s.from)!.subarray(s.start, s.start + s.length));
          const done = await copy(volume, from, s.start, to, s.at, s.length).catch((error: CallError) => error.code);
          if (done === 'EOPNOTSUPP') continue;
          if (done !== bytes.length) return false;
          if (bytes.length > 0) put(s.to, s.at, bytes);
        } else if (s.op === 'write') {
          const bytes = Buffer.alloc(s.length, s.at % 251);
          await volume.writeAt(await handle(s.to), s.at, bytes);
          put(s.to, s.at, bytes);
        } else if (s.op === 'truncate') {
          const { nodeid } = await handle(s.to);
          await ok(volume.fs.setattr(ctx, nodeid, { size: s.at, killSuidgid: false }));
          const cut = model.get(s.to)!.subarray(0, s.at);
          model.set(s.to, Buffer.concat([cut, Buffer.alloc(s.at - cut.length)]));
        } else if (s.op === 'close') await close(s.to);
        else if (s.op === 'remove' && model.has(s.to)) {
          await volume.unlink(s.to);
          await close(s.to);
          model.delete(s.to);
        } else if (s.op === 'rename' && s.from !== s.to && model.has(s.from)) {
          await close(s.to);
          await volume.rename(s.from, s.to);
          model.set(s.to, model.get(s.from)!);
          model.delete(s.from);
          const moved = open.get(s.from);
          open.delete(s.from);
          if (moved !== undefined) open.set(s.to, moved);
        }
        volume.clock.advance(1_500);
        for (const [key, file] of open)
          if (!(await volume.readAt(file, 0, 4 * MAX)).equals(model.get(key)!)) return false;
      }
      for (const key of [...open.keys()]) await close(key);
      for (const [key, bytes] of model) if (!bodyOf(volume, key).equals(bytes)) return false;
      const { openFiles, dirty, conflicts } = volume.fs.status();
      // What was removed while a copy still needed it goes behind the close of that copy.
      await volume.fs.sync([]);
      return volume.memory.objects.size === model.size && openFiles + dirty.length + conflicts.length === 0;
    } finally {
      await volume.close();
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 14 }), run), { numRuns: 150 });
  t.pass('150 random lists of operations');
});

t.test('a file opened for writing only can be copied to, and a truncating open drops what was copied', (t) =>
  withVolume(async (volume) => {
    await volume.put('a', 'twelve bytes');
    await volume.put('b', 'before');
    const a = await volume.open('a');
    const b = await volume.open('b', O_WRONLY);
    await copy(volume, a, 0, b, 0, 6);
    await volume.closeFile(b);
    t.equal(volume.body('b'), 'twelve');
    const c = await volume.open('b', O_WRONLY);
    await copy(volume, a, 7, c, 6, 5);
    const d = await volume.open('b', O_WRONLY | O_TRUNC);
    await volume.closeFile(d);
    await volume.closeFile(c);
    t.equal(volume.body('b'), '');
    await volume.closeFile(a);
  }),
);

t.test('a new file takes the name of one that is removed and still open, uncached', (t) =>
  withVolume(async (volume) => {
    for (const closeFirst of [true, false]) {
      volume.clock.advance(120_000);
      await volume.memory.put('f', pattern(9 * MiB, 6));
      volume.clock.advance(5_000);
      const old = await volume.open('f');
      await volume.unlink('f');
      const fresh = await volume.create('f');
      await volume.writeAt(fresh, 0, 'new');
      if (closeFirst) await volume.closeFile(old);
      await volume.closeFile(fresh);
      t.equal(volume.body('f'), 'new');
      t.equal(volume.fs.status().conflicts.length, 0);
      if (!closeFirst) {
        t.ok((await volume.readAt(old, 8 * MiB, 4096)).equals(pattern(9 * MiB, 6).subarray(8 * MiB, 8 * MiB + 4096)));
        await volume.closeFile(old);
        t.equal(volume.body('f'), 'new', 'the new object stays');
      }
      await volume.unlink('f');
    }
  }),
);
