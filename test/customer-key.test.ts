import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readCustomerKey } from '../src/customer-key.js';
import { exitCode } from '../src/exit-code.js';

t.test('a key is 32 bytes, or these in base64, in a file that nobody else may read', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pailfs-key-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'key');
  const write = (content: string | Uint8Array): string => {
    writeFileSync(path, content);
    chmodSync(path, 0o600);
    return path;
  };
  const key = randomBytes(32);
  t.same(Buffer.from(readCustomerKey(write(key))), key);
  t.same(Buffer.from(readCustomerKey(write(key.toString('base64')))), key);
  t.same(Buffer.from(readCustomerKey(write(`${key.toString('base64')}\n`))), key);
  for (const wrong of ['', 'x', randomBytes(31), randomBytes(33).toString('base64'), key.toString('hex')]) {
    let told = '';
    try {
      readCustomerKey(write(wrong));
    } catch (error) {
      told = (error as Error).message;
      t.match(error, { exitCode: exitCode.usage });
    }
    t.match(told, /holds no key: it must be 32 bytes/);
    if (wrong.length > 1) t.notMatch(told, wrong.toString(), 'what is in the file is not told');
  }
  write(key);
  chmodSync(path, 0o640);
  t.throws(() => readCustomerKey(path), { message: /others may read .*chmod 600/, exitCode: exitCode.usage });
  t.throws(() => readCustomerKey(join(directory, 'absent')), { message: /cannot be read \(ENOENT\)/ });
});
