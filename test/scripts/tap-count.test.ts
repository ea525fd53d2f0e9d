/** The count of the tests is what CI believes, so it is tested like everything else. */
import t from 'tap';
import { packageRoot } from '../../src/package.js';

const { countTap } = await import(new URL('scripts/tap-count.js', packageRoot).href);

interface Counted {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly string[];
  readonly skips: readonly string[];
}

async function count(lines: readonly string[]): Promise<{ counted: Counted; files: string[] }> {
  const files: string[] = [];
  const { parser, count: counted } = countTap((file: { ok: boolean; name: string }) => {
    files.push(`${file.ok ? 'ok' : 'not ok'} ${file.name}`);
  });
  const complete = new Promise((resolve) => parser.on('complete', resolve));
  parser.end(`TAP version 14\n${lines.join('\n')}\n`);
  await complete;
  return { counted, files };
}

const subtest = (name: string, inside: readonly string[], ok = true) => [
  `# Subtest: ${name}`,
  ...inside.map((line) => `    ${line}`),
  `${ok ? 'ok' : 'not ok'} 1 - ${name}`,
];

t.test('assertions count, subtests do not', async (t) => {
  const inner = subtest('inner', ['ok 1 - a', 'ok 2 - b', '1..2']);
  const { counted, files } = await count([...subtest('file', [...inner, 'ok 2 - c', '1..2']), '1..1']);
  t.match(counted, { passed: 3, failed: 0, skipped: 0 });
  t.same(files, ['ok file']);
});

t.test('a failure counts once, with the way to it', async (t) => {
  const inner = subtest('inner', ['ok 1 - a', 'not ok 2 - b', '  ---', '  found: 1', '  ...', '1..2'], false);
  const { counted, files } = await count([...subtest('file', [...inner, '1..1'], false), '1..1']);
  t.match(counted, { passed: 1, failed: 1 });
  t.match(counted.failures, [/^file > inner > b\n.*"found": 1/s]);
  t.same(files, ['not ok file']);
});

t.test('a file that failed without a failed assertion is a failure', async (t) => {
  t.match((await count(['not ok 1 - file # time=5ms', '1..1'])).counted, { passed: 0, failed: 1, failures: [/^file/] });
  const { counted } = await count([...subtest('file', ['ok 1 - a', '1..1'], false), '1..1']);
  t.match(counted, { passed: 1, failed: 1, failures: [/^file/] });
});

t.test('what was skipped is named, with the reason', async (t) => {
  const { counted } = await count([
    ...subtest('file', ['ok 1 - mounts # SKIP no /dev/fuse', 'ok 2 - a', '1..2']),
    '1..1',
  ]);
  t.match(counted, { passed: 1, failed: 0, skipped: 1, skips: ['file > mounts: no /dev/fuse'] });
});

t.test('a bail-out is a failure', async (t) => {
  t.match((await count(['ok 1 - a', 'Bail out! no disk'])).counted, { failed: 1, failures: [/no disk/] });
});
