/**
 * Other programs that mount a bucket: how each is asked to mount this one with its default options, and which of them
 * scripts/peers.sh can install here. What only points at server and bucket, or at a cache directory of its own, is no
 * change of a default.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../set-up.js';

const INSTALL_LIMIT_MS = 1_500_000;
const execute = promisify(execFile);

const awsVariables = ({ accessKey, secretKey, region }) => ({
  AWS_ACCESS_KEY_ID: accessKey,
  AWS_SECRET_ACCESS_KEY: secretKey,
  AWS_REGION: region,
});

const mountings = {
  s3fs: (at) => ({
    command: [at.program, at.bucket, at.directory, '-o', `url=${at.endpoint},use_path_request_style`],
    env: { AWSACCESSKEYID: at.accessKey, AWSSECRETACCESSKEY: at.secretKey },
  }),
  rclone: (at) => ({
    command: [at.program, 'mount', `bench:${at.bucket}`, at.directory, '--daemon', '--cache-dir', at.caches],
    env: {
      RCLONE_CONFIG: join(at.caches, 'rclone.conf'),
      RCLONE_CONFIG_BENCH_TYPE: 's3',
      RCLONE_CONFIG_BENCH_PROVIDER: at.name === 'minio' ? 'Minio' : 'Other',
      RCLONE_CONFIG_BENCH_ENDPOINT: at.endpoint,
      RCLONE_CONFIG_BENCH_REGION: at.region,
      RCLONE_CONFIG_BENCH_ACCESS_KEY_ID: at.accessKey,
      RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY: at.secretKey,
    },
  }),
  'mount-s3': (at) => ({
    command: [at.program, at.bucket, at.directory, '--endpoint-url', at.endpoint, '--force-path-style'],
    env: awsVariables(at),
  }),
  geesefs: (at) => ({
    command: [at.program, '--endpoint', at.endpoint, '--region', at.region, at.bucket, at.directory],
    env: awsVariables(at),
  }),
  goofys: (at) => ({
    command: [at.program, '--endpoint', at.endpoint, '--region', at.region, at.bucket, at.directory],
    env: awsVariables(at),
  }),
};

export const peerNames = Object.keys(mountings);

/** { name, program, version, mounting } or, where it is not to be had, { name, absent }. */
export async function findPeer(name) {
  const ask = async (action) => {
    const options = { timeout: INSTALL_LIMIT_MS };
    return (await execute(join(root, 'scripts', 'peers.sh'), [action, name], options)).stdout.trim();
  };
  try {
    return { name, program: await ask('program'), version: await ask('version'), mounting: mountings[name] };
  } catch (error) {
    return {
      name,
      absent: String(error.stderr || error.message)
        .trim()
        .split('\n')
        .at(-1),
    };
  }
}
