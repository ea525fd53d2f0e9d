/**
 * Transactions in a database, in each of sqlite's journal modes. The Python program logs by itself, because it does many
 * transactions in one process, with the database open all the time. What must hold: see programs.ts.
 */
import { readdirSync, statSync } from 'node:fs';
import type { Operation } from '../ack-log.js';
import type { Workload } from '../workload.js';
import { program } from './calls.js';

export const ROWS = 5;

const script = `
import hashlib, json, os, sqlite3, sys, time
path, log, mode, begin, rows = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
def write(line):
    with open(log, 'a') as file: file.write(json.dumps({**line, 'at': int(time.time() * 1000)}) + '\\n')
def blob(number, row): return hashlib.sha256(b'%d %d' % (number, row)).digest() * (1 + (number * 7 + row) % 90)
name = os.path.basename(path)
write({'begin': {'op': 'transaction', 'path': name, 'number': 0}})
db = sqlite3.connect(path, timeout=20, isolation_level=None)
db.execute('PRAGMA journal_mode=' + mode)
db.execute('CREATE TABLE IF NOT EXISTS t (number INTEGER, row INTEGER, blob BLOB)')
write({'ack': True})
for number in range(begin, begin + 40):
    if os.path.exists(log + '.stop'): break
    write({'begin': {'op': 'transaction', 'path': name, 'number': number}})
    db.execute('BEGIN IMMEDIATE')
    for row in range(rows): db.execute('INSERT INTO t VALUES (?, ?, ?)', (number, row, blob(number, row)))
    db.execute('COMMIT')
    write({'ack': True})
db.close()
`;

/** A database that has grown gives way to a new one. */
const MAX_BYTES = 500_000;

function removeDatabase(load: Workload, path: string): Operation {
  const all = ['-journal', '-wal', '-shm', ''].map((ending) => load.at(path + ending));
  return load.step({ op: 'remove-tree', path }, () => program('rm', ['-f', ...all]));
}

export function sqlite(load: Workload): Operation | undefined {
  const mode = load.random.pick(['DELETE', 'TRUNCATE', 'PERSIST', 'WAL']);
  const present = readdirSync(load.directory).filter((name) => /^base-\d+\.db$/.test(name));
  const [path = `base-${load.random.seed()}.db`] = present;
  if (present.length > 0 && statSync(load.at(path)).size > MAX_BYTES) return removeDatabase(load, path);
  // Another run never has the same numbers.
  const begin = 1 + load.random.seed() * 100;
  program('python3', ['-c', script, load.at(path), load.log.path, mode, String(begin), String(ROWS)]);
  return undefined;
}
