import fc from 'fast-check';
import t from 'tap';
import {
  parseDeleteResult,
  parseError,
  parseListing,
  parseResultEtag,
  parseTags,
  parseUploads,
} from '../../src/s3/answers.js';
import { encodeQueryValue } from '../../src/s3/key.js';
import { escapeXml } from '../../src/s3/xml.js';

function contents(key: string, etag = '"e"'): string {
  return `<Contents><Key>${key}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>${escapeXml(etag)}</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass><Owner><ID>o</ID></Owner></Contents>`;
}

function page(inner: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="x"><Name>b</Name><Prefix>p</Prefix>${inner}</ListBucketResult>`;
}

t.test('listing', async (t) => {
  const url = '<EncodingType>url</EncodingType>';
  const token = '<IsTruncated>true</IsTruncated><NextContinuationToken>a+b%20/</NextContinuationToken>';
  const prefixes = '<CommonPrefixes><Prefix>x+y/</Prefix></CommonPrefixes>';
  const found = parseListing(page(`${contents('a+b%2B')}${prefixes}${token}${url}`));
  t.same(found, {
    objects: [
      { key: 'a b+', etag: 'e', size: 7, lastModified: Date.UTC(2026, 0, 2, 3, 4, 5, 678), storageClass: 'STANDARD' },
    ],
    prefixes: ['x y/'],
    nextToken: 'a+b%20/',
  });
  t.equal(parseListing(page(contents('a+b%2B'))).objects[0].key, 'a+b%2B', 'not encoded unless said so');
  t.throws(() => parseListing(page('<IsTruncated>true</IsTruncated>')), { name: 'XmlError' });
  t.throws(() => parseListing(page('<Contents><Key>a</Key></Contents>')), { name: 'XmlError' });
  t.throws(() => parseListing(page(contents('a').replace('>7<', '>1e3x<'))), { name: 'XmlError' });
  t.throws(() => parseListing('<Other/>'), { name: 'XmlError' });
  t.throws(() => parseListing(page(`${url}${contents('%ff')}`)), URIError);
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), (keys) => {
      const encoded = keys.map((key) => contents(encodeQueryValue(key))).join('');
      return parseListing(page(url + encoded)).objects.every((object, i) => object.key === keys[i]);
    }),
  );
});

t.test('metadata in a listing', async (t) => {
  const metadataOf = (inner: string) => {
    const xml = contents('a').replace('</Contents>', `${inner}</Contents>`);
    return parseListing(page(xml + contents('b'))).objects.map(({ metadata }) => metadata);
  };
  const told = (inner: string) =>
    metadataOf(`<UserMetadata><content-type>a/b</content-type>${inner}</UserMetadata>`)[0];
  t.same(metadataOf(''), [undefined, undefined], 'not told');
  t.same(metadataOf('<UserMetadata><a>b</a></UserMetadata>'), [{}, undefined], 'none, of the first only');
  t.same(told('<X-Amz-Meta-Mode>33188</X-Amz-Meta-Mode><x-amz-meta-b>&lt;&#34;&amp;</x-amz-meta-b>'), {
    mode: '33188',
    b: '<"&',
  });
  t.same(told("<X-Amz-Meta-A&b'c></X-Amz-Meta-A&b'c>"), { "a&b'c": '' }, 'a name that XML does not have');
  t.same(told('<X-Amz-Meta-1/>'), { 1: '' });
  for (const value of ['\ufffd', 'ü', '&#9;', ' a', 'a ', 'a&#10;b'])
    t.equal(
      told(`<X-Amz-Meta-A>${value}</X-Amz-Meta-A><X-Amz-Meta-B>b</X-Amz-Meta-B>`),
      undefined,
      `not told: ${value}`,
    );
  const twice = '<X-Amz-Meta-A>1</X-Amz-Meta-A><x-amz-meta-a>2</x-amz-meta-a>';
  t.equal(told(twice), undefined, 'a name that is there twice');
  t.throws(() => told('<X-Amz-Meta-A>1</X-Amz-Meta-B>'), { name: 'XmlError' });
});

t.test('a page of 1,000 keys is read quickly', async (t) => {
  const keys = Array.from({ length: 1000 }, (_, i) => contents(`some/prefix/of+usual/length/file-${i}.dat`)).join('');
  const xml = page(`<EncodingType>url</EncodingType>${keys}`);
  for (let i = 0; i < 20; i++) parseListing(xml);
  const begun = performance.now();
  for (let i = 0; i < 20; i++) parseListing(xml);
  const each = (performance.now() - begun) / 20;
  t.comment(`${each.toFixed(2)} ms a page`);
  t.ok(each < 50, `${each} ms`);
});

t.test('errors', async (t) => {
  const xml =
    '<Error><Code>PermanentRedirect</Code><Message>m</Message><Region>eu-west-1</Region><RequestId>r</RequestId></Error>';
  t.same(parseError(xml), { code: 'PermanentRedirect', message: 'm', region: 'eu-west-1', requestId: 'r' });
  for (const text of ['', '<html><body>Error</body></html>', '<Error>', '<Error><Code/></Error>', 'no xml']) {
    t.equal(parseError(text), undefined);
  }
});

t.test('results', async (t) => {
  t.equal(
    parseResultEtag('<CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>', 'CopyObjectResult').etag,
    'e',
  );
  t.throws(() => parseResultEtag('<CopyObjectResult/>', 'CopyObjectResult'), { name: 'XmlError' });
  t.throws(() => parseResultEtag('<Error><ETag>e</ETag></Error>', 'CopyObjectResult'), { name: 'XmlError' });
  t.same(
    parseDeleteResult(
      '<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b&#13;</Key><Code>AccessDenied</Code><Message>m</Message></Error></DeleteResult>',
    ),
    [{ key: 'b\r', code: 'AccessDenied', message: 'm' }],
  );
  t.same(parseDeleteResult('<DeleteResult xmlns="x"/>'), []);
  t.same(parseTags('<Tagging><TagSet><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>'), [['a', '']]);
  const uploads = parseUploads(
    '<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>k+</NextKeyMarker><NextUploadIdMarker>n</NextUploadIdMarker><Upload><Key>a+b</Key><UploadId>u</UploadId><Initiator><ID>i</ID></Initiator><Initiated>2026-01-01T00:00:00Z</Initiated></Upload></ListMultipartUploadsResult>',
  );
  t.same(uploads, {
    uploads: [{ key: 'a b', uploadId: 'u', initiated: Date.UTC(2026, 0, 1) }],
    nextKey: 'k ',
    nextId: 'n',
  });
});
