/** Names of options as users write them: `_` and `-` are equal, and a name that is none is answered with the nearest. */
import { type OptionName, optionNames } from './table.js';

/** The option of that name; undefined: there is none. */
export function findOption(written: string): OptionName | undefined {
  const name = written.replaceAll('_', '-');
  return optionNames.find((one) => one === name);
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from one name to the other. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.length];
}

/** Of the names the nearest to what was written, if it is near at all. */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const name = written.replaceAll('_', '-');
  const ranked = names.map((one) => ({ one, far: distance(name, one) })).sort((a, b) => a.far - b.far);
  return ranked[0] !== undefined && ranked[0].far <= Math.max(2, name.length / 3) ? ranked[0].one : undefined;
}

/** `unknown option X`, with the nearest. */
export function unknownOption(written: string, shown: string, names: readonly string[] = optionNames): string {
  const near = nearest(written, names);
  return `unknown option ${shown}${near === undefined ? '' : `: did you mean ${near}?`}`;
}
