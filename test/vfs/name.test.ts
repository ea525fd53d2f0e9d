import fc from 'fast-check';
import t from 'tap';
import { decodeName, encodeName } from '../../src/fuse/name.js';
import { contentTypeOf } from '../../src/vfs/content-type.js';
import { isWellFormed, keyFits, nameFits, nameIn, normalisePrefix, partOf } from '../../src/vfs/name.js';

/** All names under which a component is shown, from its directory down. */
function pathOf(component: string, asObject = false): string[] {
  const names: string[] = [];
  let begun = '';
  for (;;) {
    const shown = nameIn(begun, component, asObject);
    if (shown === undefined)
      throw new Error(`${JSON.stringify(component)} is not shown below ${JSON.stringify(begun)}`);
    names.push(shown.name);
    if (!shown.isLong) return names;
    begun += shown.text;
  }
}

/** The component that a path of names leads to, or undefined. */
function componentOf(names: readonly string[]): { kind: string; component: string } | undefined {
  let begun = '';
  for (const [at, name] of names.entries()) {
    const part = partOf(name, begun);
    if (part === undefined || (part.kind === 'long') !== at < names.length - 1) return undefined;
    begun += part.text;
    if (part.kind !== 'long') return { kind: part.kind, component: begun };
  }
  return undefined;
}

const isName = (name: string): boolean =>
  name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name) && nameFits(name);

t.test('names that are keys as they are, and those that are not', async (t) => {
  const same = ['a', '...', ' ', '\n', '\u0001', 'é', '😀', '=', '=pailfs', '=pailfs-', '%2F', '%', 'a'.repeat(255)];
  for (const name of [...same, 'é'.repeat(127)]) {
    t.same(pathOf(name), [name]);
    t.same(partOf(name), { kind: 'component', text: name });
  }
});

t.test('the table of docs/semantics.md', async (t) => {
  const long = 'x'.repeat(300);
  const rows: ReadonlyArray<readonly [string, string[]]> = [
    ['', ['=pailfs=']],
    ['.', ['=pailfs=.']],
    ['..', ['=pailfs=..']],
    ['a\0%b', ['=pailfs=a%00%25b']],
    ['=pailfs=a', ['=pailfs==pailfs=a']],
    ['=pailfs-object=a', ['=pailfs==pailfs-object=a']],
    ['=pailfs=%FF', ['\udcff']],
    ['=pailfs=a%25%FF', ['a%\udcff']],
    ['=pailfs=%ff', ['=pailfs==pailfs=%25ff']],
    ['=pailfs=%C3%A9', ['=pailfs==pailfs=%25C3%25A9']],
    [long, [`=pailfs-long=${'x'.repeat(240)}`, `=pailfs=${'x'.repeat(60)}`]],
  ];
  for (const [component, names] of rows) {
    t.same(pathOf(component), names);
    t.same(componentOf(names), { kind: 'component', component });
  }
  t.same(pathOf('a', true), ['=pailfs-object=a']);
  t.same(pathOf('', true), ['=pailfs-object=']);
  t.same(pathOf('y'.repeat(250), true), [`=pailfs-long=${'y'.repeat(240)}`, `=pailfs-object=${'y'.repeat(10)}`]);
});

t.test('names that no key can have', async (t) => {
  const none = [
    '=pailfs=a',
    '=pailfs=%ff',
    '=pailfs=%41',
    '=pailfs=%',
    '=pailfs-long=a',
    '=pailfs-object=%2F',
    '',
    '.',
  ];
  for (const name of [...none, '..', `=pailfs=${'x'.repeat(240)}`]) t.equal(partOf(name), undefined, name);
  t.equal(partOf('a', 'x'.repeat(240)), undefined, 'a plain name in a directory that stands for a beginning');
  t.equal(partOf('=pailfs=a', 'x'.repeat(240)), undefined, 'what fits in a name is not cut');
  t.same(partOf(`=pailfs=${'x'.repeat(16)}`, 'x'.repeat(240)), { kind: 'component', text: 'x'.repeat(16) });
});

const piece = fc.oneof(
  fc.constantFrom('=pailfs=', '=pailfs-object=', '=pailfs-long=', '%25', '%FF', '%00', '%', '.', '..', '\0', '\u0001'),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('x', 'é', '😀', '%').chain((unit) => fc.integer({ min: 0, max: 400 }).map((n) => unit.repeat(n))),
);
const component = fc
  .array(piece, { maxLength: 4 })
  .map((pieces) => pieces.join('').replaceAll('/', ''))
  .filter((text) => isWellFormed(text) && keyFits(text));

t.test('each component has one path, whose names are names, and the path leads back to it', async () => {
  fc.assert(
    fc.property(component, fc.boolean(), (text, asObject) => {
      const names = pathOf(text, asObject);
      for (const name of names) if (!isName(name)) return false;
      const found = componentOf(names);
      return found?.component === text && (found.kind === 'object') === asObject;
    }),
    { numRuns: 5000 },
  );
});

t.test('each name that stands for a key is the name of that key, and no other name is', async () => {
  const bytes = fc.oneof(
    component.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 40 }).map((raw) => Buffer.from(raw)),
    fc
      .tuple(fc.constantFrom('=pailfs=', 'a'), fc.uint8Array({ maxLength: 9 }))
      .map(([text, raw]) => Buffer.concat([Buffer.from(text), raw])),
  );
  fc.assert(
    fc.property(bytes, (raw) => {
      const name = decodeName(raw);
      if (!encodeName(name).equals(raw)) return false;
      if (!isName(name)) return true;
      const part = partOf(name);
      if (part === undefined || part.kind === 'long') return name.startsWith('=pailfs');
      return pathOf(part.text, part.kind === 'object').join('/') === name && isWellFormed(part.text);
    }),
    { numRuns: 5000 },
  );
});

t.test('two components never share a path', async () => {
  const paths = new Map<string, string>();
  fc.assert(
    fc.property(component, fc.boolean(), (text, asObject) => {
      const path = pathOf(text, asObject).join('/');
      const id = `${asObject} ${text}`;
      const other = paths.get(path) ?? id;
      paths.set(path, id);
      return other === id;
    }),
    { numRuns: 5000 },
  );
});

t.test('keys and prefixes', async (t) => {
  t.equal(normalisePrefix('a/b'), 'a/b/');
  t.equal(normalisePrefix('a/'), 'a/');
  t.equal(normalisePrefix(''), '');
  t.ok(keyFits('a'.repeat(1024)));
  t.notOk(keyFits('a'.repeat(1025)));
  t.notOk(keyFits('é'.repeat(513)));
  t.ok(nameFits('\udcff'.repeat(255)));
  t.notOk(nameFits('\udcff'.repeat(256)));
  t.ok(isWellFormed('a😀b'));
  t.notOk(isWellFormed('a\ud83d'));
});

t.test('content types', async (t) => {
  t.equal(contentTypeOf('mygarden.JPG'), 'image/jpeg');
  t.equal(contentTypeOf('.txt'), 'application/octet-stream');
  t.equal(contentTypeOf('README'), 'application/octet-stream');
});
