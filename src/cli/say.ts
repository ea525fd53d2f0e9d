/** One line to the user, on standard error. */
import { encodeName } from '../fuse/name.js';

export function say(line: string): void {
  process.stderr.write(encodeName(`pailfs: ${line}\n`));
}

/** The bytes of a text: names that are not UTF-8 are shown as they are. */
export function print(text: string): void {
  process.stdout.write(encodeName(`${text}\n`));
}
