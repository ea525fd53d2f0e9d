/**
 * Runs the S3 tests that versitygw brings along (`versitygw test NAME`) against the embedded server, one by one: run
 * together, the first answer that its program does not expect ends it. What fails is counted by the reason why the
 * embedded server does not do it (docs/servers.md); what fails for no known reason is a failure here.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './set-up.js';

const server = join(root, 'scripts', 's3-server.sh');
/** Other parts of the gateway, and groups of tests that are run one by one here. */
const notS3 =
  /^(IAM|STS|S3IAM|AccessControl|PublicBucket|Website|CORS|PreflightOPTIONS|PostObject|Versioning|WORM|.*_not_implemented$|.*data_integrity_etag$|help$)/;
/** A reason may hide what worked before: so many have to pass. */
const LEAST_PASSED = 176;
const TEST_LIMIT_MS = 30_000;

/** Why a test fails, by its name or by what it says; the first that matches counts. */
const reasons = [
  [
    'ACLs, policies, ownership, accounts: pailfs uses none',
    /Acl|_acl|ACL|Policy|policy|Ownership|public|owner|owned|[Ii][Aa][Mm]/,
  ],
  ['versioning: its API is not used', /[Vv]ersion|delete_marker/],
  ['object lock, retention, legal hold', /Lock|_lock|Retention|LegalHold|legal_hold|retain/],
  ['CORS, websites, tags of buckets', /Cors|cors|Website|website|BucketTagging|OPTIONS/],
  ['making and listing buckets', /^(ListBuckets|CreateBucket|DeleteBucket|GetBucketLocation|HeadBucket)/],
  [
    'keys as files in a directory: versitygw refuses what S3 keeps',
    /ObjectParentIsFile|ExistingObjectIsDirectory|DirectoryObject|_object_names|with_slashes|directory_success/,
  ],
  ['the same error code in other words', /expected error message to be/],
  ['a malformed signature or route is refused with another code', /^(Authentication|PresignedAuth|Router|Server_)/],
  ['checksums other than CRC32, and chunked bodies with such trailers', /checksum|algo_type|Streamin/],
  ['a range of an empty object is 416, as on MinIO and radosgw', /(zero_len|dir)_with_range/],
  ['x-amz-storage-class is not sent for STANDARD, as on AWS', /storage class to be STANDARD/],
  [
    'GetObjectAttributes, GET by part number, old and odd listing parameters',
    /GetObjectAttributes|part_number|ListObjects_|ListObjectsV2_|ListMultipartUploads_|ListParts_/,
  ],
  ['a copied range needs a source of more than 5 MiB, as on AWS', /UploadPartCopy_by_range_success/],
  [
    'another error code for a request that pailfs never sends',
    /expected error code to be|instead got (NotFound|nil)$|^DeleteObjects_empty|_if_match_initiated/,
  ],
  ['a header sent twice is signed with a comma and no space', /SignatureDoesNotMatch|should_combine_metadata/],
  ["versitygw's own program panics", /ended: panic/],
  ['fields of answers that S3 leaves out', /unexpected nil object Size/],
];

function programPath() {
  const { status, stdout } = spawnSync(server, ['program', 'versitygw'], {
    stdio: ['ignore', 'pipe', 2],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error('versitygw could not be built');
  return stdout.trim();
}

function testNames(program) {
  const { stdout } = spawnSync(program, ['test', '--help'], { encoding: 'utf8' });
  const names = [...stdout.matchAll(/^ {3}(\S+) +Runs \1 integration test$/gm)].map(([, name]) => name);
  return names.filter((name) => !notS3.test(name)).sort();
}

const run = promisify(execFile);
const colours = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** What a test said when it failed; undefined: it passed. */
async function runOne(program, endpoint, env, name) {
  const words = [
    'test',
    '--access',
    env.AWS_ACCESS_KEY_ID,
    '--secret',
    env.AWS_SECRET_ACCESS_KEY,
    '--endpoint',
    endpoint,
  ];
  const options = { cwd: dirname(program), env, timeout: TEST_LIMIT_MS, maxBuffer: 1 << 24 };
  const { stdout = '', stderr = '' } = await run(program, [...words, name], options).catch((error) => error);
  const text = (stdout + stderr).replace(colours, '');
  if (/^PASS /m.test(text) && !/^FAIL /m.test(text)) return undefined;
  return /^FAIL (.*)$/m.exec(text)?.[1] ?? `ended: ${/^panic: .*$/m.exec(text)?.[0] ?? text.slice(-200)}`;
}

async function runAll(program, environment) {
  const names = testNames(program);
  if (names.length < 100) throw new Error('versitygw lists no tests');
  const env = { PATH: process.env.PATH, HOME: tmpdir(), ...environment };
  const failures = new Map();
  // One after the other: each of them numbers its buckets from one.
  for (const name of names) {
    const said = await runOne(program, environment.PAILFS_TEST_ENDPOINT, env, name);
    if (said !== undefined) failures.set(name, said);
  }
  return { names, failures };
}

function tell({ names, failures }) {
  const counts = new Map(reasons.map(([reason]) => [reason, 0]));
  let unexplained = 0;
  for (const [name, said] of [...failures].sort()) {
    const reason = reasons.find(([, pattern]) => pattern.test(name) || pattern.test(said))?.[0];
    if (reason !== undefined) counts.set(reason, counts.get(reason) + 1);
    else {
      unexplained++;
      console.log(`not ok: ${said.startsWith(name) ? said : `${name}: ${said}`}`);
    }
  }
  console.log(`versitygw test: ${names.length} tests, ${names.length - failures.size} pass on the embedded server`);
  for (const [reason, count] of counts) console.log(`  ${String(count).padStart(4)} fail: ${reason}`);
  const passed = names.length - failures.size;
  if (passed < LEAST_PASSED) {
    unexplained++;
    console.log(`not ok: only ${passed} pass, where ${LEAST_PASSED} did`);
  }
  console.log(`\n${passed} passed, ${unexplained} failed`);
  process.exitCode = unexplained === 0 ? 0 : 1;
}

const directory = mkdtempSync(join(tmpdir(), 'pailfs-versitygw-test-'));
const env = { ...process.env, PAILFS_SERVER_DIR: directory };
try {
  const program = programPath();
  const up = spawnSync(server, ['up', 'embedded'], { env, stdio: ['ignore', 'pipe', 2], encoding: 'utf8' });
  if (up.status !== 0) throw new Error('the embedded server did not come up');
  const pairs = up.stdout.matchAll(/(\w+)=(\S*)/g);
  tell(await runAll(program, Object.fromEntries([...pairs].map(([, name, value]) => [name, value]))));
} finally {
  spawnSync(server, ['down', 'embedded'], { env, stdio: ['ignore', 2, 2] });
  rmSync(directory, { recursive: true, force: true });
}
