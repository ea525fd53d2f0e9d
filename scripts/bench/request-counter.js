/**
 * What the server was asked during a case. MinIO tells of every request itself, over one connection that it keeps writing
 * to (its admin API's trace): nothing stands in the way of the requests that are timed, and it counts for every mount
 * alike. On other servers pailfs's own counters are asked before and after, and the peers have no count.
 */

/** Requests may come after the program's end: until so long nothing came (ms), but at most so long (ms). */
const QUIET_MS = 120;
const QUIET_LIMIT_MS = 2_000;
const MARK = '"funcname":"s3.';

class TraceCounter {
  #counts = {};
  #total = 0;
  #response;

  constructor(response) {
    this.#response = response;
    let tail = '';
    response.setEncoding('latin1').on('error', () => {});
    response.on('data', (text) => {
      text = tail + text;
      let at = text.indexOf(MARK);
      let end = 0;
      for (; at >= 0; at = text.indexOf(MARK, end)) {
        const close = text.indexOf('"', at + MARK.length);
        if (close < 0) break;
        this.#count(text.slice(at + MARK.length, close));
        end = close;
      }
      // A mark may be cut in two by the end of what has arrived.
      tail = text.slice(Math.max(end, at >= 0 ? at : text.length - MARK.length));
    });
  }

  #count(name) {
    this.#total += 1;
    this.#counts[name] = (this.#counts[name] ?? 0) + 1;
  }

  async begin() {
    await this.#quiet();
    this.#counts = {};
  }

  async take() {
    await this.#quiet();
    return { ...this.#counts };
  }

  async #quiet() {
    const limit = Date.now() + QUIET_LIMIT_MS;
    for (let before = -1; before !== this.#total && Date.now() < limit; ) {
      before = this.#total;
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    }
  }

  close() {
    this.#response.destroy();
  }
}

class OwnCounter {
  #place;
  #before = {};

  constructor(place) {
    this.#place = place;
  }

  async begin() {
    this.#before = await this.#place.requests();
  }

  async take() {
    const now = Object.entries(await this.#place.requests());
    const changes = now.map(([name, count]) => [name, count - (this.#before[name] ?? 0)]);
    return Object.fromEntries(changes.filter(([, count]) => count > 0));
  }

  close() {}
}

/** undefined where nobody counts. */
export async function countRequests(server, place) {
  if (place.isLocal) return undefined;
  if (server.name !== 'minio') return place.requests && new OwnCounter(place);
  const response = await server.s3.open({ path: '/minio/admin/v3/trace', query: { s3: 'true' }, limitMs: 0 });
  if (response.statusCode === 200) return new TraceCounter(response);
  response.destroy();
  throw new Error(`MinIO's trace answers ${response.statusCode}`);
}
