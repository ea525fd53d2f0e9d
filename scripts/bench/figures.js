/** From what was measured to what is told: medians of repeats, ratios within one run, the figures to steer by. */

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** One result of several: the median of their times, or the first that has none. */
function medianResult(results) {
  const without = results.find(({ seconds }) => seconds === undefined);
  if (without) return without;
  const times = results.map(({ seconds }) => seconds);
  const cpu = results.map(({ cpuSeconds }) => cpuSeconds ?? 0);
  return { ...results[0], seconds: median(times), cpuSeconds: median(cpu), ...(times.length > 1 && { times }) };
}

/** `runs`: of each repeat what runPlace answered. */
export function combineRuns(runs) {
  const names = Object.keys(runs[0].results);
  const of = (name) => medianResult(runs.map(({ results }) => results[name]).filter((one) => one !== undefined));
  return {
    results: Object.fromEntries(names.map((name) => [name, of(name)])),
    cpuSeconds: median(runs.map(({ cpuSeconds }) => cpuSeconds)),
    peakBytes: Math.max(...runs.map(({ peakBytes }) => peakBytes)),
  };
}

/** The limits of several repeats as those of one. */
export function combineRaw(runs) {
  return runs[0].map((limit, i) => ({ ...limit, seconds: median(runs.map((run) => run[i].seconds)) }));
}

/** cp, and sync of what it wrote: only then is it where it belongs. */
export function addSums(places) {
  for (const { results } of Object.values(places)) {
    const [copy, sync] = [results['cp-in'], results['sync-file']];
    if (copy?.seconds !== undefined && sync?.seconds !== undefined) {
      results['cp-in-sync'] = { seconds: copy.seconds + sync.seconds };
    } else if (copy && sync) results['cp-in-sync'] = copy.seconds === undefined ? copy : sync;
  }
}

export const ratio = (a, b) => (a?.seconds === undefined || !b?.seconds ? undefined : a.seconds / b.seconds);

/** What the next steps are measured by: [title, number or undefined, unit]. */
export function steeringFigures({ places, raw }) {
  const own = places.pailfs?.results ?? {};
  const beside = (place, name) => ratio(own[name], places[place]?.results[name]);
  const multipart = raw.find(({ name }) => name === 'multipart-8');
  return [
    ['cp in to close(), over the local disk', beside('ext4', 'cp-in'), '×'],
    ['cp in and sync FILE, over the raw multipart upload', ratio(own['cp-in-sync'], multipart), '×'],
    ['create, over the null mount', beside('null', 'create'), '×'],
    [
      'create, over raw PUTs 16 at once',
      ratio(
        own.create,
        raw.find(({ name }) => name === 'puts-16'),
      ),
      '×',
    ],
    ['mv of the large file', own['mv-file']?.seconds, 's'],
    ['mv of the directory', own['mv-directory']?.seconds, 's'],
  ];
}
