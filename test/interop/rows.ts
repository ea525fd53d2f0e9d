/**
 * The rows of s3fs and rclone in the table of dialects (test/mount/dialects.txt), made by the tools themselves: s3fs through
 * a mount, rclone by its copies, with and without --metadata and --links.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DIALECT_LIST, tableRows } from '../mount/dialect-objects.js';
import { check } from '../mount/harness.js';
import type { Meeting } from './meeting.js';
import { rcloneConfig } from './peer.js';

const SECOND = '2020-02-03 04:05:06';

async function makeByS3fs(at: string): Promise<void> {
  const script = `mkdir s3fs; cd s3fs
    printf 'hello\\n' > file; ln -s file link; mkfifo fifo; mkdir dir
    chmod 640 file; chown 1000:1001 file; setfattr -n user.colour -v green file
    chmod 750 dir; chown 7:8 dir
    touch -d '${SECOND}.123456789Z' file; touch -h -d '${SECOND}.5Z' link; touch -d '${SECOND}Z' fifo dir`;
  await check(`cd ${at}\n${script}`, { timeout: 60_000 });
}

/** Of local files. */
async function makeByRclone({ ground, peer }: Meeting): Promise<void> {
  const local = join(ground.local, 'rows');
  mkdirSync(local);
  const config = rcloneConfig(ground.s3, ground.local);
  const rclone = `${peer.program} --config ${config}`;
  const bucket = `x:${ground.s3.bucket}/rclone`;
  const script = `printf 'hello\\n' > file; cp file trimmed; cp file with-metadata; ln -s file link
    touch -d '${SECOND}.123456789Z' file with-metadata; touch -d '${SECOND}.5Z' trimmed; touch -h -d '${SECOND}.25Z' link
    chmod 640 with-metadata; chown 1000:1001 with-metadata
    ${rclone} copy --links --exclude with-metadata . ${bucket}
    ${rclone} copyto --metadata with-metadata ${bucket}/with-metadata`;
  await check(`cd ${local}\n${script}`, { timeout: 60_000, env: peer.env });
}

export function rowChecks(meeting: Meeting): Record<string, () => Promise<void>> {
  const { name } = meeting.peer;
  return {
    [`${name} makes its rows of the table`]: () =>
      name === 'rclone' ? makeByRclone(meeting) : meeting.through('s3fs', (at) => makeByS3fs(at)),
    'pailfs shows these rows': async () => {
      const shown = await meeting.through('pailfs', (at) => check(`cd ${at}\n${DIALECT_LIST} ${name}`));
      const found = shown.trimEnd().split('\n').slice(1);
      // Newer ones write the type of a directory too.
      const wanted = tableRows(name).filter((row) => !row.endsWith(' typed-dir'));
      if (found.join('\n') !== wanted.join('\n')) throw new Error(`${found.join('\n')}\nnot\n${wanted.join('\n')}`);
    },
  };
}
