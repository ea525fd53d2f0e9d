/**
 * `npm run test:crash [-- --kills N --seed S --server embedded|minio --write-back on|off --workloads a,b --keep]`: the
 * daemon is killed again and again while programs work (test/crash/main.ts). `--without-journal` takes the journal's
 * append away, with which the same run must fail. The last line is `N passed, N failed`.
 */
import { runOnServer } from './on-server.js';

await runOnServer('test:crash', 'dist/test/crash/main.js');
