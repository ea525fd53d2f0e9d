/**
 * The same Python on a mount and in a plain directory of this machine, whose answers are the ones to expect. The script
 * prints JSON, one line for each case; what differs is told case by case.
 */
import { join } from 'node:path';
import type { Bucket } from './bucket.js';
import { run } from './harness.js';

export interface Difference {
  readonly name: string;
  readonly expected: unknown;
  readonly found: unknown;
}

const HEAD = `
import errno, json, os, stat, sys, time
os.chdir(sys.argv[1]); os.umask(0o022)
def tell(name, answer): print(json.dumps([name, answer]))
def attempt(work):
    try: return work()
    except OSError as e: return errno.errorcode[e.errno]
def as_user(uid, work):
    r, w = os.pipe(); pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([]); os.setgid(uid); os.setuid(uid)
            answer = attempt(work)
        except BaseException as e: answer = repr(e)
        os.write(w, json.dumps(answer).encode()); os._exit(0)
    os.close(w); text = os.read(r, 1 << 16); os.close(r); os.waitpid(pid, 0)
    return json.loads(text)
`;

async function answersIn(directory: string, script: string, timeout: number): Promise<Map<string, string>> {
  const { code, stdout, stderr } = await run('python3', ['-c', HEAD + script, directory], { timeout });
  if (code !== 0) throw new Error(`${directory}: ${code ?? 'killed'}: ${stderr}`);
  const lines = stdout.trimEnd().split('\n');
  return new Map(lines.map((line) => JSON.parse(line)).map(([name, answer]) => [name, JSON.stringify(answer)]));
}

/** How many cases there were, and those with another answer on the mount. */
export async function compareWithPlain(
  { dir, local }: Pick<Bucket, 'dir' | 'local'>,
  script: string,
  timeout = 60_000,
): Promise<{ readonly cases: number; readonly differences: readonly Difference[] }> {
  const [plain, mounted] = [join(local, 'oracle'), join(dir, 'oracle')];
  for (const directory of [plain, mounted]) await run('mkdir', ['-m', '755', directory]);
  const expected = await answersIn(plain, script, timeout);
  const found = await answersIn(mounted, script, timeout);
  const names = new Set([...expected.keys(), ...found.keys()]);
  const differences = [...names]
    .map((name) => ({ name, expected: expected.get(name), found: found.get(name) }))
    .filter((one) => one.expected !== one.found);
  return { cases: names.size, differences };
}
