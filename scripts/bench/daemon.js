/** The process behind a mount, as /proc shows it: found by the mount point in its command line, measured, waited for. */
import { readdirSync, readFileSync } from 'node:fs';

const CLOCK_TICKS = 100;

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Fields of /proc/PID/stat behind the name, which may hold anything. */
const statOf = (pid) =>
  read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ');

export function findDaemon(directory) {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = pids.filter((pid) => read(`/proc/${pid}/cmdline`)?.split('\0').includes(directory));
  return found.length === 0 ? undefined : new Daemon(Number(found.at(-1)));
}

export class Daemon {
  #startTime;

  constructor(pid) {
    this.pid = pid;
    this.#startTime = statOf(pid)?.[19];
  }

  get isAlive() {
    const stat = statOf(this.pid);
    return stat !== undefined && stat[19] === this.#startTime && stat[0] !== 'Z';
  }

  /** User and system time (seconds). */
  get cpuSeconds() {
    const stat = statOf(this.pid);
    return stat === undefined ? 0 : (Number(stat[11]) + Number(stat[12])) / CLOCK_TICKS;
  }

  /** The most memory that was ever resident (bytes). */
  get peakBytes() {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${this.pid}/status`) ?? '')?.[1] ?? 0) * 1024;
  }

  /** Whether it is gone within so long. */
  async ends(ms) {
    for (const limit = Date.now() + ms; Date.now() < limit; ) {
      if (!this.isAlive) return true;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return !this.isAlive;
  }

  kill() {
    if (this.isAlive) process.kill(this.pid, 'SIGKILL');
  }
}

export function isMounted(directory) {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `);
}
