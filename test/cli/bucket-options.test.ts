/** Options of a mount by what they do: to objects, to requests, and to what is shown. The command as users run it. */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HeadObjectCommand, type HeadObjectCommandInput, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { exitCode } from '../../src/exit-code.js';
import { check, noKernelMounts, sh, until } from '../mount/harness.js';
import { bucket, getObject, makePlace, type Place, putObject } from './fixture.js';

const skip = noKernelMounts;
t.setTimeout(300_000);

function clientOf(t: Test, { server }: Place): S3Client {
  const { endpoint, region, credentials } = server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  t.teardown(() => client.destroy());
  return client;
}

async function umount(t: Test, place: Place): Promise<void> {
  t.match(await place.pailfs(['umount', place.mountpoint]), { code: 0 });
}

t.test('SSE-C: what is written needs the key, which stands nowhere', { skip }, async (t) => {
  const place = await makePlace(t);
  const key = randomBytes(32);
  const path = join(place.directory, 'key');
  writeFileSync(path, key.toString('base64'));
  chmodSync(path, 0o600);
  const client = clientOf(t, place);
  await place.mount(['--sse-c-key', path, '--log-level', 'trace']);
  const dir = place.mountpoint;
  await check(`cd ${dir}; mkdir d; echo secret > d/f; ln -s f d/l; chmod 600 d/f; mv d/f d/g; cp d/g d/h; echo more >> d/h
    head -c 20000000 /dev/zero > d/big; cp d/big d/copy; truncate -s 15000000 d/copy; echo end >> d/copy; cat d/l || true`);
  t.equal(
    await check(`cd ${dir}; cat d/g d/h; readlink d/l; stat -c %s d/copy`),
    'secret\nsecret\nmore\nf\n15000004\n',
  );
  await place.sync();
  const head = (more: Partial<HeadObjectCommandInput>, Key = 'd/copy') =>
    client.send(new HeadObjectCommand({ Bucket: bucket, Key, ...more }));
  const SSECustomerKey = key.toString('base64');
  for (const name of ['d/', 'd/g', 'd/h', 'd/l', 'd/big', 'd/copy']) {
    const keyless = await head({}, name).catch((error) => error.$metadata.httpStatusCode);
    t.equal(keyless, 400, `${name} without the key`);
    const told = await head({ SSECustomerAlgorithm: 'AES256', SSECustomerKey }, name);
    t.equal(told.SSECustomerKeyMD5, createHash('md5').update(key).digest('base64'), name);
  }
  await umount(t, place);
  const log = readFileSync(join(place.directory, 'state', 'pailfs.log'), 'utf8');
  for (const form of ['base64', 'hex', 'latin1'] as const)
    t.notOk(log.includes(key.toString(form)), `${form} in the log`);
  writeFileSync(path, randomBytes(32));
  await place.mount(['--sse-c', 'AES256', '--sse-c-key', path]);
  t.match(await sh(`cat ${dir}/d/g`), { code: 1, stderr: /Permission denied/ }, 'another key');
  await umount(t, place);
});

t.test('KMS, storage class and ACL of what is written; what objects have of their own stays', { skip }, async (t) => {
  const place = await makePlace(t);
  const client = clientOf(t, place);
  const head = (Key: string) => client.send(new HeadObjectCommand({ Bucket: bucket, Key }));
  const own = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'its-own', StorageClass: 'STANDARD_IA' } as const;
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'theirs', Body: 'x', ...own }));
  const dir = place.mountpoint;
  await place.mount();
  await check(`cd ${dir}; chmod 600 theirs; echo more >> theirs; mv theirs moved; echo again >> moved; echo new > new`);
  await place.sync();
  t.match(await head('moved'), own, 'through chmod, append, rename and append');
  t.match(await head('new'), { ServerSideEncryption: 'AES256' });
  t.notOk((await head('new')).StorageClass);
  await umount(t, place);
  const told = ['--sse', 'aws:kms', '--sse-kms-key-id', 'mounts', '--storage-class', 'ONEZONE_IA'];
  await place.mount([...told, '--canned-acl', 'bucket-owner-full-control']);
  await check(
    `cd ${dir}; echo told > told; mkdir d; ln -s told link; echo x >> moved; head -c 9000000 /dev/zero > parts`,
  );
  await place.sync();
  const want = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'mounts', StorageClass: 'ONEZONE_IA' };
  for (const name of ['told', 'moved', 'parts']) t.match(await head(name), want, name);
  for (const name of ['d/', 'link']) {
    t.match(await head(name), { ServerSideEncryption: 'aws:kms' }, name);
    t.notOk((await head(name)).StorageClass, `${name} is no file`);
  }
  t.equal(
    await check(`getfattr --only-values -n s3.storage-class ${dir}/told 2>/dev/null || python3 -c '
import os, sys; print(os.getxattr(sys.argv[1], "s3.storage-class").decode(), end="")' ${dir}/told`),
    'ONEZONE_IA',
  );
  await umount(t, place);
});

t.test('requester pays, and the owner that is expected', { skip }, async (t) => {
  const place = await makePlace(t);
  await putObject(place, 'f', 'content');
  place.server.requesterPays.add(bucket);
  await place.mount(['--request-payer', '--expected-bucket-owner', '123456789012']);
  await check(`cd ${place.mountpoint}; test $(cat f) = content; cp f g; echo x >> g; mv g h; rm h; ls -l`);
  await umount(t, place);
  const wrong = await place.pailfs([
    'mount',
    bucket,
    place.mountpoint,
    '--request-payer',
    '--expected-bucket-owner',
    '999999999999',
  ]);
  t.match(
    wrong,
    { code: exitCode.denied, stderr: /does not belong to account 999999999999/ },
    'somebody else’s bucket is not mounted',
  );
});

t.test('a prefix as root, owners and modes of what names none, read-only', { skip }, async (t) => {
  const place = await makePlace(t);
  await putObject(place, 'deep/er/f', 'content');
  await putObject(place, 'deep/er/d/x', 'below');
  await putObject(place, 'deep/else', 'outside');
  const dir = place.mountpoint;
  const look = `cd ${dir}; stat -c '%n %a %u %g' . d d/x f; ls`;
  const owners = ['--uid', '12', '--gid', '34', '--umask', '027', '--file-mode', '0666', '--dir-mode', '0777'];
  const mount = async (args: string[]) => {
    const { code, stderr } = await place.pailfs(['mount', `s3://${bucket}/deep/er/`, dir, ...args]);
    t.equal(code, 0, stderr);
  };
  await mount(owners);
  const shown = ['. 750 12 34', 'd 750 12 34', 'd/x 640 12 34', 'f 640 12 34', 'd', 'f', ''];
  t.equal(await check(look), shown.join('\n'));
  await check(`cd ${dir}; echo new > new; mkdir made; mv f made/moved; chmod 701 .`);
  await place.sync();
  t.equal(await getObject(place, 'deep/er/new'), 'new\n');
  t.equal(await getObject(place, 'deep/er/made/moved'), 'content');
  t.equal(await getObject(place, 'deep/else'), 'outside');
  await umount(t, place);
  await mount(['-o', 'ro,uid=7']);
  t.equal(
    await check(`cd ${dir}; stat -c '%a' .; stat -c '%u %a' d/x; cat new; ls`),
    '701\n7 644\nnew\nd\nmade\nnew\n',
  );
  const changes = ['touch x', 'rm new', 'mv new n', 'chmod 600 new', 'ln -s a b', 'mkdir y', 'rmdir made', 'mkfifo p'];
  changes.push('truncate -s 1 new', 'fallocate -l 9 new', 'echo x >> new', 'setfattr -n user.a -v b new || touch new');
  for (const change of changes) t.match((await sh(`cd ${dir}; ${change}`)).stderr, /Read-only file system/i, change);
  await umount(t, place);
});

t.test('-o acl: ACLs outlive the daemon, and the kernel goes by them', { skip }, async (t) => {
  const place = await makePlace(t);
  const dir = place.mountpoint;
  const asOther = (script: string) => `setpriv --reuid=4711 --regid=4711 --clear-groups sh -c '${script}' 2>&1 || true`;
  chmodSync(place.directory, 0o755);
  await place.mount();
  t.match((await sh(`cd ${dir}; touch f; setfacl -m u:4711:r f`)).stderr, /not supported/, 'not without');
  await umount(t, place);
  const acl = ['-o', 'acl,allow_other'];
  await place.mount(acl);
  await check(`cd ${dir}; echo secret > f; chmod 600 f; setfacl -m u:4711:r f; echo other > g; chmod 600 g`);
  t.match(await check(`cd ${dir}; ${asOther('cat f g')}`), /^secret\n.*denied/);
  // What close() and setfacl acknowledged is in the journal.
  process.kill(place.daemons()[0], 'SIGKILL');
  await until('the daemon ended', () => place.daemons().length === 0);
  await place.mount(acl);
  t.match(await check(`cd ${dir}; getfacl -cpn f; ${asOther('cat f g')}`), /user:4711:r--[\s\S]*^secret\n.*denied/m);
  await umount(t, place);
  rmSync(join(place.directory, 'cache'), { recursive: true });
  await place.mount(acl);
  t.match(await check(`cd ${dir}; getfacl -cpn f; ${asOther('cat f g')}`), /user:4711:r--[\s\S]*^secret\n.*denied/m);
  await umount(t, place);
});

t.test('-o dev: device nodes open, and without it they do not', { skip }, async (t) => {
  const place = await makePlace(t);
  const dir = place.mountpoint;
  await place.mount();
  await check(`mknod ${dir}/null c 1 3`);
  t.match((await sh(`echo x > ${dir}/null`)).stderr, /Permission denied/);
  await umount(t, place);
  await place.mount(['-o', 'dev']);
  t.equal(await check(`echo x > ${dir}/null; cat ${dir}/null`), '');
  await umount(t, place);
});
