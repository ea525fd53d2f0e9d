/**
 * What passthrough gains: a large cached file, read through mounts with --passthrough=auto and =off in turns, in one run
 * (docs/benchmarks.md). `node scripts/bench/passthrough.js [--mib 1024] [--rounds 5]`, as root; what is built is used.
 *
 * Each round reads it three times: with the cache's file in memory and no pages of the mount's own, as after a download;
 * again at once; and with all pages dropped, from the disk.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeBig } from './dataset.js';
import { dropPageCache } from './page-cache.js';
import { Pailfs } from './places.js';
import { startServer } from './server.js';
import { atEnd, tearDown, tearDownOnSignals } from './teardown.js';

const LIMIT_MS = 120_000;
const MiB = 2 ** 20;
const modes = ['auto', 'off'];

/** pailfs, with the option; what is copied in is in the bucket when cp ends. */
class Place extends Pailfs {
  constructor(scratch, server, mode) {
    super(scratch, server);
    this.mode = mode;
  }

  mounting(caches) {
    const { command, env } = super.mounting(caches);
    return { command: [...command, '--write-back', 'off', '--passthrough', this.mode], env };
  }

  async must(command) {
    const result = await this.run(command, { limitMs: LIMIT_MS });
    if (!result.ok) throw new Error(`${command.join(' ')}: ${result.complaint}`);
    return result.ms;
  }

  read() {
    return this.must(['dd', `if=${join(this.directory, 'big')}`, 'of=/dev/null', 'bs=1M', 'status=none']);
  }

  /** Drops the pages that the mount itself has of the file. */
  forget() {
    const script = 'import os, sys; os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)';
    return this.must(['python3', '-c', script, join(this.directory, 'big')]);
  }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function round(place, times) {
  const note = (name, ms) => {
    times[name] ??= [];
    times[name].push(ms);
  };
  // Its file in the cache comes into memory, which costs the first of them only.
  await place.read();
  await place.forget();
  note('first read', await place.read());
  note('again', await place.read());
  dropPageCache();
  note('from the disk', await place.read());
}

function tell(name, times) {
  const [auto, off] = modes.map((mode) => median(times[mode][name]));
  const shown = `auto ${auto.toFixed(0)} ms, off ${off.toFixed(0)} ms: ${(off / auto).toFixed(2)} times as fast`;
  console.log(`${name}: ${shown}`);
}

async function measure({ mib, rounds }) {
  const scratch = mkdtempSync(join(tmpdir(), 'pailfs-bench-'));
  atEnd('the directory goes', async () => rmSync(scratch, { recursive: true, force: true }));
  const server = await startServer('embedded', scratch);
  const source = join(scratch, 'source');
  writeBig(source, mib * MiB);
  const places = modes.map((mode) => new Place(join(scratch, mode), server, mode));
  const times = { auto: {}, off: {} };
  for (const [index, place] of places.entries()) {
    await place.mount();
    if (index === 0) {
      await place.must(['cp', source, join(place.directory, 'big')]);
      rmSync(source);
    }
    // Twice: the first brings it, or checks it.
    await place.read();
    await place.must(['sync', scratch]);
  }
  for (let at = 0; at < rounds; at++) for (const place of places) await round(place, times[place.mode]);
  for (const name of Object.keys(times.auto)) tell(name, times);
  for (const place of places) await place.unmount();
}

tearDownOnSignals();
try {
  const text = { type: 'string' };
  const { values } = parseArgs({ options: { mib: text, rounds: text } });
  await measure({ mib: Number(values.mib ?? 1024), rounds: Number(values.rounds ?? 5) });
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
} finally {
  await tearDown();
}
