/** A process of driver.py: one line asks, one line answers, each within a limit. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { within } from '../mount/harness.js';
import type { ModelOperation } from './operations.js';

/** Of a path: what driver.py's attributes() says, and for files and links what they hold. */
export type PlainTree = Record<string, unknown[]>;

export type BatchAnswer =
  | { readonly done: number }
  | { readonly index: number; readonly mount: unknown; readonly plain: unknown };

/** One batch or one walk takes no longer. */
const ANSWER_MS = 120_000;
const SHOWN_DIFFERENCES = 5;

export class Driver {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  #stderr = '';

  constructor(script: string, mount: string, plain: string) {
    this.#child = spawn('python3', [script, mount, plain], { stdio: 'pipe' });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text;
    });
    this.#child.stdin.on('error', () => {});
    this.#lines = createInterface(this.#child.stdout);
  }

  async #ask(question: Record<string, unknown>): Promise<unknown> {
    const answer = new Promise<string>((resolve, reject) => {
      const gone = () => reject(new Error(`a driver ended: ${this.#stderr.slice(-1_500)}`));
      this.#child.once('close', gone);
      this.#lines.once('line', (line) => {
        this.#child.off('close', gone);
        resolve(line);
      });
    });
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    return JSON.parse(await within(ANSWER_MS, 'the answer of a driver', answer));
  }

  batch(ops: readonly ModelOperation[]): Promise<BatchAnswer> {
    return this.#ask({ ops }) as Promise<BatchAnswer>;
  }

  /** How the trees differ; undefined: not at all. */
  async compare(): Promise<string | undefined> {
    const { differ } = (await this.#ask({ compare: '.' })) as { differ: [string, unknown, unknown][] };
    if (differ.length === 0) return undefined;
    const lines = differ.slice(0, SHOWN_DIFFERENCES).map(([path, mount, plain]) => {
      return `${path}: on the mount ${JSON.stringify(mount)}, in a plain directory ${JSON.stringify(plain)}`;
    });
    return `${differ.length} paths differ: ${lines.join('; ')}`;
  }

  read(): Promise<PlainTree> {
    return this.#ask({ read: '.' }) as Promise<PlainTree>;
  }

  /** SIGKILL: it may hang in the mount. */
  close(): void {
    this.#child.kill('SIGKILL');
  }
}
