/**
 * `npm run test:two [-- --seconds N --seed S --write-back on|off --log FILE]`: two daemons on one bucket, and programs that
 * use the same files through both (test/two/main.ts), on the embedded server. The last line is `N passed, N failed`.
 */
import { runOnServer } from './on-server.js';

await runOnServer('test:two', 'dist/test/two/main.js');
