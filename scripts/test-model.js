/**
 * `npm run test:model [-- --operations N --seed S --server embedded|minio --write-back on|off]`: random operations on the
 * mount and on a plain directory (test/model/main.ts). The last line is `N passed, N failed`.
 */
import { runOnServer } from './on-server.js';

await runOnServer('test:model', 'dist/test/model/main.js');
