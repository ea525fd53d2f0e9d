/** The signatures AWS publishes in the S3 API reference, sigv4 "header based auth" and "query string auth" pages. */
import t from 'tap';
import { EMPTY_BODY_HASH, payloadHash, Signer, sha256Hex, UNSIGNED_PAYLOAD } from '../../src/s3/signer.js';

const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const scope = { region: 'us-east-1', service: 's3' };
const host = 'examplebucket.s3.amazonaws.com';
const at = Date.UTC(2013, 4, 24);

function signature(method: string, path: string, query: string, more: string[], bodyHash = EMPTY_BODY_HASH): string {
  const headers = ['host', host, ...more];
  new Signer().sign(method, path, query, headers, bodyHash, at, credentials, scope);
  const value = headers[headers.indexOf('authorization') + 1];
  return value.slice(value.indexOf('Signature=') + 10);
}

t.equal(
  signature('GET', '/test.txt', '', ['range', 'bytes=0-9']),
  'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  'GET Object',
);
t.equal(
  signature(
    'PUT',
    '/test%24file.text',
    '',
    ['x-amz-storage-class', 'REDUCED_REDUNDANCY', 'date', 'Fri, 24 May 2013 00:00:00 GMT'],
    sha256Hex('Welcome to Amazon S3.'),
  ),
  '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  'PUT Object',
);
t.equal(
  signature('GET', '/', 'lifecycle=', []),
  'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  'GET Bucket Lifecycle',
);
t.equal(
  signature('GET', '/', 'max-keys=2&prefix=J', []),
  '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  'List Objects',
);
t.match(
  new Signer().presign(host, '/test.txt', 86400, at, credentials, scope),
  /&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404$/,
  'presigned GET',
);

t.test('the kept signing key follows day, region, service and secret', async (t) => {
  const kept = new Signer();
  const sign = (signer: Signer, ms: number, secret: string, region: string, service: string) => {
    const headers = ['host', host];
    const pair = { accessKeyId: 'a', secretAccessKey: secret };
    signer.sign('GET', '/', '', headers, EMPTY_BODY_HASH, ms, pair, { region, service });
    return headers.join();
  };
  const cases: Array<[number, string, string, string]> = [
    [at, 's', 'r', 's3'],
    [at + 86_400_000, 's', 'r', 's3'],
    [at + 86_400_000, 'other', 'r', 's3'],
    [at + 86_400_000, 'other', 'r2', 's3'],
    [at + 86_400_000, 'other', 'r2', 's3-outposts'],
    [at, 's', 'r', 's3'],
  ];
  for (const one of cases) t.equal(sign(kept, ...one), sign(new Signer(), ...one));
});

t.test('spaces in values and the session token', async (t) => {
  const sign = (value: string) => {
    const headers = ['host', host, 'x-amz-meta-a', value];
    new Signer().sign('PUT', '/', '', headers, UNSIGNED_PAYLOAD, at, { ...credentials, sessionToken: 'tok' }, scope);
    return headers;
  };
  t.equal(sign(' a   b ').at(-1), sign('a b').at(-1), 'trimmed and folded in the signature');
  t.ok(sign(' a   b ').includes(' a   b '), 'sent as given');
  t.match(sign('x').at(-1), /SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-security-token,/);
});

t.equal(payloadHash(undefined, false), EMPTY_BODY_HASH);
t.equal(payloadHash(new Uint8Array(0), true), EMPTY_BODY_HASH);
t.equal(payloadHash(Buffer.from('x'), true), UNSIGNED_PAYLOAD);
t.equal(payloadHash(Buffer.from('x'), false), sha256Hex('x'));
