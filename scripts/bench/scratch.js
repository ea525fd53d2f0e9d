/** What the cases read from the local disk: the large file, an archive, a repository, a script for SQLite. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createdFiles, writeBig, writeFiles } from './dataset.js';
import { runProgram } from './program.js';
import { sizes } from './sizes.js';

const makeFiles = fileURLToPath(new URL('make-files.js', import.meta.url));
const LIMIT_MS = 60_000;

/** git must not see what the user has configured. */
export const quietGit = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };

async function must(scratch, command, env = {}) {
  const streams = { out: join(scratch, 'out'), errors: join(scratch, 'errors') };
  const { ok, complaint } = await runProgram(command, {
    env: { ...process.env, ...env },
    limitMs: LIMIT_MS,
    ...streams,
  });
  if (!ok) throw new Error(`${command.join(' ')}: ${complaint}`);
}

/** The rows of the check are 0, 1, 2 …; every transaction commits by itself. */
function sqlOf(transactions) {
  const lines = ['create table rows (n integer primary key, text text);'];
  for (let i = 0; i < transactions; i++) {
    const rows = Array.from({ length: 20 }, (_, k) => `(${i * 20 + k}, 'row ${i * 20 + k}')`);
    lines.push(`insert into rows values ${rows.join(', ')};`);
  }
  return `${lines.join('\n')}\n`;
}

export async function fillScratch(scratch, sizeName) {
  const files = join(scratch, 'files');
  const repository = join(scratch, 'repository');
  mkdirSync(files);
  writeFiles(files, createdFiles(sizes[sizeName]));
  await must(scratch, [process.execPath, makeFiles, 'packed', sizeName, files]);
  await must(scratch, ['tar', '-c', '-f', join(scratch, 'files.tar'), '-C', files, 'packed']);
  const git = (...words) => must(scratch, ['git', '-C', repository, ...words], quietGit);
  mkdirSync(repository);
  await git('init', '-q');
  await must(scratch, [process.execPath, makeFiles, 'packed', sizeName, repository]);
  await git('add', '-A');
  await git('-c', 'user.name=bench', '-c', 'user.email=bench@localhost', 'commit', '-q', '-m', 'files');
  writeFileSync(join(scratch, 'rows.sql'), sqlOf(sizes[sizeName].transactions));
  writeBig(join(scratch, 'source'), sizes[sizeName].big);
  return join(scratch, 'source');
}
