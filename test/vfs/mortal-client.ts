/**
 * A client that dies with its daemon: what it is asked takes a random moment before it reaches the store and another
 * before its answer is told, and after kill() nothing reaches the store and nothing is told any more. So a kill finds
 * requests that were never sent, and others that were done and not answered.
 */
import type { ObjectClient } from '../../src/s3/object-client.js';
import { S3Error } from '../../src/s3/s3-error.js';

export class Lifeline {
  isCut = false;
  /** Called when the store has done something, before that is told. */
  onDone: ((operation: string) => void) | undefined;
  readonly client: ObjectClient;
  readonly #random: (below: number) => number;
  readonly #trace: string[];

  /**
   * @param random numbers from 0 to below
   * @param trace gets what was asked (>), done (= or !) and answered (<), in order
   */
  constructor(client: ObjectClient, random: (below: number) => number, trace: string[]) {
    this.#random = random;
    this.#trace = trace;
    this.client = new Proxy(client, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' && name !== 'close' ? this.#mortal(value.bind(target), String(name)) : value;
      },
    });
  }

  kill(): void {
    this.isCut = true;
  }

  #mortal(call: (...values: unknown[]) => Promise<unknown>, operation: string) {
    return async (...values: unknown[]): Promise<unknown> => {
      const asked = values.map((value) =>
        value instanceof Uint8Array ? `${value.length} bytes` : JSON.stringify(value),
      );
      const line = `${operation} ${asked.join(' ')}`;
      this.#trace.push(`> ${line}`);
      await this.#moment(operation);
      try {
        const answer = await call(...values);
        this.#trace.push(`= ${line}: ${JSON.stringify(answer)}`);
        this.onDone?.(operation);
        await this.#moment(operation);
        return answer;
      } catch (error) {
        this.#trace.push(`! ${line}: ${(error as Error).message}`);
        await this.#moment(operation);
        throw error;
      } finally {
        this.#trace.push(`< ${line}`);
      }
    };
  }

  async #moment(operation: string): Promise<void> {
    if (!this.isCut) await new Promise((resolve) => setTimeout(resolve, this.#random(3)));
    if (this.isCut) throw new S3Error('Unreachable', 'the daemon is dead', { operation });
  }
}
