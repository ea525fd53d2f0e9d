/**
 * `npm run test:faults [-- --seed S --write-back on|off]`: a program works while the store and the disk misbehave
 * (test/faults/main.ts), on the embedded server, which does so on request. The last line is `N passed, N failed`.
 */
import { runOnServer } from './on-server.js';

await runOnServer('test:faults', 'dist/test/faults/main.js');
