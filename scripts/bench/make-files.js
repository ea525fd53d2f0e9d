/**
 * A program that makes files in a directory: `make-files.js WHAT SIZES DIRECTORY`. WHAT is `standing` (everything the
 * cases read, with the large file), `packed`, or `created`: then it says at the end how long making them took (ms),
 * without its own start. It is a process of its own because it writes to mounts, which may hang.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BIG, contentOf, createdFiles, packedFiles, standingFiles, writeBig, writeFiles } from './dataset.js';
import { sizes } from './sizes.js';

const [what, size, directory] = process.argv.slice(2);

function makeCreated() {
  const files = createdFiles(sizes[size]).map(({ path, bytes }) => [path.split('/')[1], contentOf(path, bytes)]);
  const begun = process.hrtime.bigint();
  for (const [name, content] of files) writeFileSync(join(directory, name), content);
  console.log(Number(process.hrtime.bigint() - begun) / 1e6);
}

if (what === 'created') makeCreated();
else if (what === 'packed') writeFiles(directory, packedFiles(sizes[size]));
else {
  writeFiles(directory, standingFiles(sizes[size]));
  mkdirSync(join(directory, 'big'), { recursive: true });
  const source = process.argv[5];
  if (source) cpSync(source, join(directory, BIG));
  else writeBig(join(directory, BIG), sizes[size].big);
}
