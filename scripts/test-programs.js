/**
 * What `scripts/programs.sh --mount` runs once the programs are installed: builds, brings a server up, and runs them on a
 * mount (test/programs/main.ts). The last line is `N passed, N failed`.
 */
import { runOnServer } from './on-server.js';

await runOnServer('programs', 'dist/test/programs/main.js');
