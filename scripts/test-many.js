/**
 * `npm run test:many [-- --entries N --whole]`: a directory of a million objects that carry attributes (test/many/main.ts), on
 * the embedded server. The last line is `N passed, N failed`.
 */
import { runOnServer } from './on-server.js';

await runOnServer('test:many', 'dist/test/many/main.js');
