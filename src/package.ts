/** What the package says of itself. */
import { readFileSync } from 'node:fs';

/** From dist/src to the package's root. */
export const packageRoot = new URL('../../', import.meta.url);

export function packageVersion(): string {
  return (JSON.parse(readFileSync(new URL('package.json', packageRoot), 'utf8')) as { version: string }).version;
}
