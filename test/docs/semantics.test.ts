/** Every sentence of docs/semantics.md that promises something names the tests that execute it, and these exist. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { packageRoot } from '../../src/package.js';
import { readPage, titlesIn, troublesOf } from './promises.js';

const read = (path: string): string => readFileSync(new URL(path, packageRoot), 'utf8');
const own = 'every sentence that promises something names tests that exist';

t.test('every sentence that promises something names tests that exist', async (t) => {
  const page = readPage(read('docs/semantics.md'));
  t.ok(page.sentences.length > 100, `${page.sentences.length} sentences`);
  t.ok(page.footnotes.length > 50, `${page.footnotes.length} tests`);
  const explained = page.sentences.filter(({ marker }) => marker !== undefined);
  t.ok(explained.length < page.sentences.length / 5, `${explained.length} of them promise nothing`);
  t.same(troublesOf(page), []);
});

t.test('what is missing is found', async (t) => {
  const good = `# Page

It works.[^own] It also
works elsewhere.[^own]

- An item with \`code. In it\` is
  one sentence.[^own] Why: so that. It explains. Nothing is promised.
- Not promised: that \`--option\` helps.

| what | how |
|---|---|
| a row | of cells[^own] |

[^own]: \`docs/semantics\`: ${own}
`;
  const page = readPage(good);
  t.same(troublesOf(page), []);
  t.equal(page.sentences.length, 8);
  const found = (from: string, to: string, ...lines: RegExp[]): void => {
    t.ok(good.includes(from), from);
    const troubles = troublesOf(readPage(good.replace(from, to)));
    t.equal(troubles.length, lines.length, troubles.join('\n'));
    for (const line of lines)
      t.ok(
        troubles.some((one) => line.test(one)),
        `${line}: ${troubles.join('\n')}`,
      );
  };
  found('It works.[^own]', 'It works.', /^line 3: no test: It works\.$/);
  found('elsewhere.[^own]', 'elsewhere', /^line 3: no test: It also works elsewhere$/);
  found('one sentence.[^own]', 'one sentence.', /^line 6: no test: An item/);
  found('Why: so that.', 'So that.', /no test: So that/, /no test: It explains/, /no test: Nothing/);
  found('Not promised: that', 'That', /^line 8: no test: That/);
  found('of cells[^own]', 'of cells', /^line 12: no test: a row/);
  found('It explains.', 'It is EIO.', /this promises something: It is EIO/);
  found('It works.[^own]', 'It works.[^other]', /\[\^other\] is not defined/);
  found(
    '[^own]: `docs/semantics`',
    '[^own]: docs/semantics',
    /^line 14: not a footnote/,
    ...Array(4).fill(/not defined/),
  );
  found('[^own]: `docs/semantics`', '[^own]: `docs/absent`', /no such test/);
  found(`: ${own}`, ': another title', /no subtest "another title"/);
  found(`: ${own}`, '', /names no subtest/);
  found('[^own]: ', '[^more]: `npm run test:crash`\n[^own]: ', /\[\^more\] is used nowhere/);
  found('[^own]: ', '[^own]: `npm run test:crash`\n[^own]: ', /is there twice/);
  found(`\`docs/semantics\`: ${own}`, '`npm run test:nothing`', /no test:nothing/);
  found(`\`docs/semantics\`: ${own}`, '`npm run test:faults`: rain', /it has no rain/);
  found(`\`docs/semantics\`: ${own}`, '`scripts/conformance.sh nothing`', /no such command/);
  for (const command of ['npm run test:crash', 'scripts/conformance.sh fsx'])
    t.same(troublesOf(readPage(good.replace(`\`docs/semantics\`: ${own}`, `\`${command}\``))), [], command);
  t.same(troublesOf(readPage(good.replace(`\`docs/semantics\`: ${own}`, '`npm run test:faults`: long-outage'))), []);
});

t.test('titles are those of subtests', async (t) => {
  const source = [
    "t.test('plain, it\\'s', async () => {",
    `  t.test(\`\${what}: in \${how}\`, () => {});`,
    "  await t.test(\n    'on the next line',",
    "withCached('by a helper', async () => {",
    "  t.equal('no', 'title');",
    "const text = 'nor this';",
  ].join('\n');
  t.same([...titlesIn(source)], ["plain, it's", '…: in …', 'on the next line', 'by a helper']);
});
