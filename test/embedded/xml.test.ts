import fc from 'fast-check';
import t from 'tap';
import { element, parseXml, textOf } from '../../src/embedded/xml.js';

t.test('what is written is read again', async (t) => {
  const character = fc.constantFrom('a', ' ', '&', '<', '>', '"', "'", '\r', '\n', '\t', ']', '\u00e9', '\u{1f600}');
  const text = fc.array(character).map((characters) => characters.join(''));
  fc.assert(
    fc.property(text, (key) => {
      const root = parseXml(`<?xml version="1.0"?>\n<Delete xmlns="x"><!-- c -->\n${element('Key', key)}</Delete>`);
      return root.name === 'Delete' && textOf(root, 'Key') === key;
    }),
  );
  t.pass('held');
});

t.test('line ends, references and CDATA are read as XML says', async (t) => {
  const key = (text: string) => textOf(parseXml(`<d><Key>${text}</Key></d>`), 'Key');
  t.equal(key('a\r\nb\rc'), 'a\nb\nc', 'a literal CR is a line end');
  t.equal(key('a&#13;b&#xD;c'), 'a\rb\rc');
  t.equal(key('<![CDATA[<&>]]>'), '<&>');
  t.equal(key('&quot;e&quot;'), '"e"');
});

t.test('what is no XML is refused', async (t) => {
  const wrong = [
    '',
    'text',
    '<a>',
    '<a></b>',
    '<a/><b/>',
    '<a>&nope;</a>',
    '<a>&#1;</a>',
    '<a>\u0001</a>',
    '<a><b</a>',
  ];
  for (const source of wrong) t.throws(() => parseXml(source), { code: 'MalformedXML' }, JSON.stringify(source));
});
