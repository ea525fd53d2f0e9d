/**
 * HTTP proxies as the AWS CLI uses them: HTTPS_PROXY for https endpoints (through CONNECT), HTTP_PROXY for http ones
 * (absolute request target), lower-case names first, NO_PROXY as a list of host names, suffixes, `host:port` or `*`.
 */
import http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';

export interface ProxyServer {
  /** The proxy itself is spoken to over TLS. */
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  /** Value of Proxy-Authorization. */
  readonly authorization?: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

function bypassed(hostname: string, port: number, list: string): boolean {
  const host = hostname.toLowerCase();
  for (const item of list.split(',')) {
    const name = item.trim().toLowerCase().replace(/^\.+/, '');
    if (name === '') continue;
    if (name === '*' || name === host || name === `${host}:${port}` || host.endsWith(`.${name}`)) return true;
  }
  return false;
}

/** Throws TypeError where the variable is no URL. */
export function proxyFor(secure: boolean, hostname: string, port: number, env: Environment): ProxyServer | undefined {
  const value = secure ? (env.https_proxy ?? env.HTTPS_PROXY) : (env.http_proxy ?? env.HTTP_PROXY);
  if (value === undefined || value === '') return undefined;
  if (bypassed(hostname, port, env.no_proxy ?? env.NO_PROXY ?? '')) return undefined;
  const url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`unsupported proxy ${url.protocol}`);
  const proxySecure = url.protocol === 'https:';
  const user = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  return {
    secure: proxySecure,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (proxySecure ? 443 : 80) : Number(url.port),
    authorization: user === '' ? undefined : `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`,
  };
}

/** A TLS connection to host:port through the proxy's CONNECT. */
function openTunnel(
  proxy: ProxyServer,
  target: { host: string; port: number; servername: string },
  secure: tls.SecureContextOptions,
  timeoutMs: number,
  done: (error: Error | null, socket?: Duplex) => void,
): void {
  const authority = `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
  const headers: Record<string, string> = { host: authority };
  if (proxy.authorization !== undefined) headers['proxy-authorization'] = proxy.authorization;
  const connect = (proxy.secure ? https : http).request({
    host: proxy.hostname,
    port: proxy.port,
    method: 'CONNECT',
    path: authority,
    headers,
    agent: false,
    timeout: timeoutMs,
    ...(proxy.secure ? { ca: secure.ca } : {}),
  });
  let ended = false;
  const finish = (error: Error | null, socket?: Duplex) => {
    if (ended) return;
    ended = true;
    done(error, socket);
  };
  connect.on('timeout', () =>
    connect.destroy(Object.assign(new Error('the proxy does not answer'), { code: 'ETIMEDOUT' })),
  );
  connect.on('error', (error) => finish(error));
  connect.on('response', (response) => {
    response.resume();
    finish(Object.assign(new Error(`the proxy answered ${response.statusCode}`), { code: 'ERR_PROXY' }));
  });
  connect.on('connect', (response, socket) => {
    if (response.statusCode !== 200) {
      socket.destroy();
      finish(Object.assign(new Error(`the proxy answered ${response.statusCode}`), { code: 'ERR_PROXY' }));
      return;
    }
    socket.setTimeout(0);
    finish(null, tls.connect({ ...secure, socket, servername: target.servername }));
  });
  connect.end();
}

/** An agent whose connections all go through the proxy. */
export class TunnelAgent extends https.Agent {
  readonly #proxy: ProxyServer;
  readonly #timeoutMs: number;

  constructor(options: https.AgentOptions, proxy: ProxyServer, timeoutMs: number) {
    super(options);
    this.#proxy = proxy;
    this.#timeoutMs = timeoutMs;
  }

  /** Called by http.Agent with the request's options and a callback for the socket. */
  override createConnection(
    options: { host: string; port: number; servername?: string },
    done: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    const host = options.host;
    const target = { host, port: options.port, servername: options.servername || host };
    openTunnel(this.#proxy, target, { ca: this.options.ca as tls.SecureContextOptions['ca'] }, this.#timeoutMs, done);
    return undefined;
  }
}
