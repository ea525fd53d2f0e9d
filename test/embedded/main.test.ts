import { execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { Bucket, LIMIT_MS, startServer } from './fixture.js';

const main = fileURLToPath(new URL('../../src/embedded/main.js', import.meta.url));

for (const ending of ['SIGTERM', 'SIGINT', 'stdin'] as const) {
  t.test(`the program serves until ${ending}`, { timeout: 3 * LIMIT_MS }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'pailfs-embedded-'));
    const flags = ['--directory', directory, '--bucket', 'b-1', '--until-stdin-closes'];
    const child = spawn(process.execPath, [main, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.teardown(() => {
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    });
    const [endpoint] = await once(createInterface(child.stdout), 'line', { signal: AbortSignal.timeout(LIMIT_MS) });
    t.match(endpoint, /^http:\/\/127\.0\.0\.1:\d+$/);
    t.equal((await fetch(`${endpoint}/b-1`)).status, 403);
    if (ending === 'stdin') child.stdin.end();
    else child.kill(ending);
    const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(LIMIT_MS) });
    t.equal(code, 0);
  });
}

const cli = spawnSync('aws', ['--version']).status === 0;
const skip = cli ? false : 'the aws command is not on PATH';

t.test('the aws command: copy up and down, list, move, remove', { skip, timeout: 120_000 }, async (t) => {
  const { server, directory } = await startServer(t);
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
    AWS_DEFAULT_REGION: server.region,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const run = promisify(execFile);
  const aws = async (...words: string[]) =>
    (await run('aws', ['--endpoint-url', server.endpoint, ...words], { env, timeout: 60_000 })).stdout;
  const big = randomBytes(20 * 1024 * 1024);
  writeFileSync(join(directory, 'up'), big);
  await aws('s3', 'cp', join(directory, 'up'), `s3://${Bucket}/dir/big file`);
  t.equal(server.requests.byOperation.CompleteMultipartUpload, 1);
  await aws('s3', 'mv', `s3://${Bucket}/dir/big file`, `s3://${Bucket}/dir/moved`);
  t.match(await aws('s3', 'ls', '--recursive', `s3://${Bucket}/`), /20971520 dir\/moved\n$/);
  await aws('s3', 'cp', `s3://${Bucket}/dir/moved`, join(directory, 'down'));
  t.ok(readFileSync(join(directory, 'down')).equals(big));
  await aws('s3', 'rm', '--recursive', `s3://${Bucket}/`);
  t.equal(await aws('s3', 'ls', `s3://${Bucket}`), '');
});
