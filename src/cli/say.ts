/** One line to the user, on standard error. */
export function say(line: string): void {
  process.stderr.write(`pailfs: ${line}\n`);
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes for people. */
export function sizeText(bytes: number): string {
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}
