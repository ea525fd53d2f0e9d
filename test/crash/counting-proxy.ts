/**
 * Stands between the daemon and the server, on loopback. It makes requests take time, so that a kill lands with some under
 * way, and counts those. A request that had left the daemon wholly when it died reaches the server all the same, as on a
 * real network; one that had not is cut off.
 */
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Random } from './content.js';

export class CountingProxy {
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 128 });
  readonly #target: URL;
  #inFlight = 0;
  /** What the server has not answered. */
  readonly #upstream = new Set<string>();
  /** Requests whose sender went away before the answer, since the start. */
  cutOff = 0;
  total = 0;
  /** Without it requests take no longer than they do. */
  slow = true;

  constructor(
    target: string,
    readonly random: Random,
  ) {
    this.#target = new URL(target);
    this.#server = createServer((req, res) => void this.#serve(req, res));
    this.#server.keepAliveTimeout = 60_000;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests that are not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Resolves once the server has answered everything that reached it. */
  async quiet(ms: number): Promise<void> {
    const end = Date.now() + ms;
    while (this.#upstream.size > 0) {
      if (Date.now() > end)
        throw new Error(`within ${ms} ms the server did not answer ${[...this.#upstream].join(', ')}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    this.#agent.destroy();
    await once(this.#server, 'close');
  }

  #delay(): number {
    const { random } = this;
    if (!this.slow) return 0;
    return random.chance(0.05) ? random.between(40, 120) : random.between(5, 25);
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.#inFlight++;
    this.total++;
    let answered = false;
    const end = () => {
      if (!answered) this.#inFlight--;
      answered = true;
    };
    res.once('finish', end);
    res.once('close', () => {
      end();
      if (!res.writableFinished) this.cutOff++;
    });
    const number = this.total;
    const ms = this.#delay();
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    if (req.destroyed) return;
    this.#forward(req, res, number);
  }

  #forward(req: IncomingMessage, res: ServerResponse, number: number): void {
    const { hostname, port } = this.#target;
    const options = { hostname, port, method: req.method, path: req.url, agent: this.#agent, setHost: false };
    const upstream = request({ ...options, headers: req.rawHeaders as never });
    const what = `${number}: ${req.method} ${req.url}`;
    this.#upstream.add(what);
    upstream.once('close', () => this.#upstream.delete(what));
    upstream.on('response', (answer) => {
      answer.once('end', () => {
        this.#upstream.delete(what);
        // Refused before its body was read (412): nobody reads the rest, and it would never close.
        if (!upstream.writableFinished) upstream.destroy();
      });
      if (res.destroyed) return void answer.resume();
      res.writeHead(answer.statusCode!, answer.statusMessage, answer.rawHeaders);
      answer.pipe(res);
      res.once('close', () => answer.resume());
    });
    upstream.on('error', () => res.destroy());
    req.once('close', () => {
      if (!req.readableEnded) upstream.destroy();
    });
    req.pipe(upstream);
  }
}
