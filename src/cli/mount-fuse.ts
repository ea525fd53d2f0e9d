/**
 * The form in which mount(8) calls us: `mount.fuse.pailfs SOURCE MOUNTPOINT [-sfnvrw] [-o WORDS] [-t TYPE] [-N NAMESPACE]`.
 * See "External helpers" in mount(8).
 */
import { UsageError } from '../config/value.js';

export interface HelperCall {
  readonly source: string;
  readonly mountpoint: string;
  /** Values of -o. */
  readonly words: readonly string[];
  /** -s: words that are not known are left out. */
  readonly sloppy: boolean;
  /** -f: mount(8) only pretends; nothing is mounted. */
  readonly fake: boolean;
}

const withValue = new Set(['o', 't', 'N']);

export function parseHelperCall(given: readonly string[]): HelperCall {
  const places: string[] = [];
  const words: string[] = [];
  const flags = new Set<string>();
  const rest = [...given];
  while (rest.length > 0) {
    const argument = rest.shift()!;
    if (!/^-./.test(argument)) {
      places.push(argument);
      continue;
    }
    const [letter, attached] = [argument[1], argument.slice(2)];
    if (withValue.has(letter)) {
      const value = attached === '' ? rest.shift() : attached;
      if (value === undefined) throw new UsageError(`-${letter} needs a value`);
      if (letter === 'o') words.push(value);
      continue;
    }
    for (const flag of argument.slice(1)) {
      if (!'sfnvrw'.includes(flag)) throw new UsageError(`unknown option -${flag}`);
      flags.add(flag);
    }
  }
  if (places.length !== 2)
    throw new UsageError('usage: mount.fuse.pailfs s3://BUCKET[/PREFIX] MOUNTPOINT [-o OPTIONS]');
  if (flags.has('r')) words.push('ro');
  return { source: places[0], mountpoint: places[1], words, sloppy: flags.has('s'), fake: flags.has('f') };
}
