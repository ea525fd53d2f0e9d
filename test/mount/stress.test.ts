/**
 * 64 programs read and write 1,000 files at one time, for PAILFS_STRESS_SECONDS (60). No byte may be wrong, no request
 * unanswered, and nothing left at unmount.
 */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { withBucket } from './bucket.js';
import { run } from './harness.js';
import { BUCKET, onlyEmbedded } from './s3-place.js';
import { faultOf, makeContent, pathOf } from './stress-worker.js';

const SECONDS = Number(process.env.PAILFS_STRESS_SECONDS ?? 60);
const FILES = 1_000;
const PROGRAMS = 64;
t.setTimeout((SECONDS + 120) * 1000);

t.test(`${PROGRAMS} programs, ${FILES} files, ${SECONDS} s`, { skip: onlyEmbedded }, async (t) => {
  const worker = fileURLToPath(new URL('./stress-worker.js', import.meta.url));
  await withBucket(
    t,
    async ({ dir, local, daemon, store, server, remount, sh }) => {
      mkdirSync(`${local}/locks`);
      const results = await Promise.all(
        Array.from({ length: PROGRAMS }, (_, i) =>
          run(
            process.execPath,
            [worker, dir, `${local}/locks`, String(i * 7919 + 17), String(SECONDS), String(FILES)],
            {
              timeout: (SECONDS + 60) * 1000,
            },
          ),
        ),
      );
      const sum: Record<string, number> = {};
      for (const { code, stdout, stderr, timedOut } of results) {
        t.notOk(timedOut, 'a program hangs');
        t.equal(code, 0, stderr.split('\n').slice(0, 12).join('\n'));
        if (code !== 0) continue;
        for (const [name, count] of Object.entries<number>(JSON.parse(stdout))) sum[name] = (sum[name] ?? 0) + count;
      }
      t.comment(`${JSON.stringify(sum)}, ${JSON.stringify(server.requests.byOperation)}`);
      t.ok(sum.read > 0 && sum.wrote > 0, 'all kinds of work were done');
      t.equal(daemon.filesystem.status().conflicts.length, 0, 'nobody else wrote: no conflict');
      t.equal((await sh('find . -type f | wc -l')).trim(), String(FILES));
      await remount({ fresh: true });
      for (let file = 0; file < FILES; file++) {
        const fault = faultOf(file, (await store.get(pathOf('', file).slice(1)))!.body);
        if (fault !== undefined) t.fail(`in S3: ${fault}`);
      }
    },
    {
      before: async ({ server }) => {
        for (let file = 0; file < FILES; file++) {
          const data = makeContent(file, file + 1);
          server.putSparse(BUCKET, pathOf('', file).slice(1), data.length, [{ offset: 0, data }]);
        }
      },
    },
  );
});
