/** docs/servers.md says of each server what scripts/s3-server.sh excuses it from, and the suite proves. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { packageRoot } from '../../src/package.js';
import { capabilities } from '../conformance/capabilities.js';

const read = (path: string): string => readFileSync(new URL(path, packageRoot), 'utf8');
const servers = ['minio', 'radosgw', 'seaweedfs', 'versitygw'];

/** The promises that a server is excused from. */
function lacksOf(script: string, server: string): string[] {
  const keys = /local keys=(\S+)/.exec(script)?.[1] ?? '';
  const names = new RegExp(`^ {4}${server}\\) echo "?([^" ]+)"? ;;`, 'm').exec(script)?.[1] ?? '';
  return names.replace('$keys', keys).split(',');
}

t.test('the table of docs/servers.md', async (t) => {
  const script = read('scripts/s3-server.sh');
  const page = read('docs/servers.md');
  for (const [name, { promise }] of Object.entries(capabilities)) {
    const words = servers.map((server) => (lacksOf(script, server).includes(name) ? '✗' : '✓'));
    t.ok(page.includes(`| ${promise} | \`${name}\` | ✓ | ${words.join(' | ')} |`), name);
  }
  for (const server of servers) {
    for (const name of lacksOf(script, server)) t.ok(name in capabilities, `${server}: ${name}`);
  }
});
