/** The S3 server of a run: brought up by scripts/s3-server.sh in a directory of its own, taken down at the end. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../set-up.js';
import { S3Requests } from './s3-requests.js';
import { atEnd } from './teardown.js';

const script = join(root, 'scripts', 's3-server.sh');
/** In the order in which they are tried where none is named. */
const names = ['minio', 'radosgw', 'embedded'];
const INSTALL_LIMIT_MS = 1_500_000;
const UP_LIMIT_MS = 150_000;
const execute = promisify(execFile);

function environmentOf(text) {
  const words = text.split('\n').flatMap((line) => (line.startsWith('export ') ? line.slice(7).split(' ') : []));
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
}

/** Installs the first that can be had; answers its name. `wanted`: that one and no other. */
export async function installServer(wanted) {
  for (const name of wanted === undefined ? names : [wanted]) {
    try {
      await execute(script, ['install', name], { timeout: INSTALL_LIMIT_MS });
      return name;
    } catch (error) {
      if (name === wanted || name === names.at(-1)) throw new Error(`no server: ${error.stderr || error.message}`);
      console.error(`bench: ${name} is not to be had (${String(error.stderr).trim().split('\n').at(-1)})`);
    }
  }
}

/** Brings an installed server up; answers where it is, its bucket, and requests to it. */
export async function startServer(name, scratch) {
  const env = { ...process.env, PAILFS_SERVER_DIR: join(scratch, 'server') };
  atEnd(`${name} goes down`, () => execute(script, ['down', name], { env, timeout: 30_000 }));
  const { stdout } = await execute(script, ['up', name], { env, timeout: UP_LIMIT_MS });
  const told = environmentOf(stdout);
  const server = {
    name,
    endpoint: told.PAILFS_TEST_ENDPOINT,
    bucket: told.PAILFS_TEST_BUCKET,
    region: told.AWS_REGION,
    accessKey: told.AWS_ACCESS_KEY_ID,
    secretKey: told.AWS_SECRET_ACCESS_KEY,
  };
  const s3 = new S3Requests(server);
  atEnd('connections', async () => s3.close());
  return { ...server, s3 };
}
