/**
 * What scripts/conformance.sh runs once pjdfstest or fsx is there: builds, brings a server up, and runs the program on a
 * mount (test/posix/main.ts). The last line is `N passed, N failed`.
 */
import { runOnServer } from './on-server.js';

await runOnServer('conformance', 'dist/test/posix/main.js');
