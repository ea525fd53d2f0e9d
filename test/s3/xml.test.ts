import fc from 'fast-check';
import t from 'tap';
import { decodeXmlText, escapeXml, isXmlWritable, scanXml, XmlError } from '../../src/s3/xml.js';

const none = { leaf: () => {} };

t.test('escaping comes back, control characters of XML included', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }).filter(isXmlWritable), (text) => {
      let found = '';
      scanXml(`<K>${escapeXml(text)}</K>`, {
        leaf: (_, value) => {
          found = value;
        },
      });
      return found === text && !/[\r\n\t]/.test(escapeXml(text));
    }),
  );
  t.equal(escapeXml('a\rb'), 'a&#13;b');
  for (const text of ['\0', '\u000b', '\u001f', '\ufffe', '\ud800', 'a\udc00b']) t.notOk(isXmlWritable(text));
  for (const text of ['\t\r\n', '\u007f', '😀']) t.ok(isXmlWritable(text));
});

t.test('structure', async (t) => {
  const seen: string[] = [];
  const root = scanXml(
    '\ufeff<?xml version="1.0"?>\n<!-- c --><s:A xmlns="u">\n <B x="1">t&amp;u</B><C/><D><E></E></D></s:A>\n',
    { leaf: (name, text, parent) => seen.push(`${parent}.${name}=${text}`), close: (name) => seen.push(`/${name}`) },
  );
  t.equal(root, 'A');
  t.same(seen, ['A.B=t&u', 'A.C=', 'D.E=', '/D', '/A']);
});

t.test('what is refused', async (t) => {
  const bad = [
    '',
    'text',
    '<A>',
    '<A></B>',
    '</A>',
    '<A/><B/>',
    '<A',
    '<A>&bomb;</A>',
    '<A>&#xD800;</A>',
    '<A>&#99999999;</A>',
    '<A>&amp</A>',
    '<!DOCTYPE a [<!ENTITY b "c">]><A>&b;</A>',
    '<A><![CDATA[x]]></A>',
    '<?xml',
    '<A>x<!-- -->y</A>',
    '<A>'.repeat(40) + '</A>'.repeat(40),
  ];
  for (const text of bad) t.throws(() => scanXml(text, none), { name: 'XmlError' }, JSON.stringify(text.slice(0, 40)));
  t.throws(() => decodeXmlText('&constructor;'), { name: 'XmlError' });
});

t.test('large and hostile documents take linear time', async (t) => {
  const begun = performance.now();
  const entities = `<A>${'&amp;'.repeat(2_000_000)}</A>`;
  scanXml(entities, none);
  scanXml(`<A>${'<B>x</B>'.repeat(1_250_000)}</A>`, none);
  for (const text of ['&'.repeat(10_000_000), '<'.repeat(10_000_000), `<A>${'<!--'.repeat(2_500_000)}`]) {
    t.throws(() => scanXml(text, none), { name: 'XmlError' });
  }
  t.ok(performance.now() - begun < 10_000, `took ${performance.now() - begun} ms`);
});

fc.assert(
  fc.property(fc.string({ unit: fc.constantFrom('<', '>', '/', '&', ';', 'A', '!', '-', '?', ' ', '#') }), (text) => {
    try {
      scanXml(text, none);
    } catch (error) {
      return error instanceof XmlError;
    }
    return true;
  }),
);
