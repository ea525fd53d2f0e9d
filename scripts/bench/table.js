/** What a run has found, as tables in Markdown that are padded, so that they can be read as they are. */
import { ratio, steeringFigures } from './figures.js';

const MiB = 1024 * 1024;

export function secondsText(seconds) {
  if (seconds >= 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds >= 0.995) return `${seconds.toFixed(2)} s`;
  return `${seconds >= 0.00995 ? Math.round(seconds * 1000) : (seconds * 1000).toFixed(1)} ms`;
}

export function resultText(result) {
  if (result === undefined) return '';
  if (result.seconds !== undefined) return secondsText(result.seconds);
  if (result.late !== undefined) return `> ${Math.round(result.late)} s`;
  return result.skipped === undefined ? 'fails' : 'not run';
}

const ratioText = (value) => (value === undefined ? '' : `${value >= 9.95 ? value.toFixed(0) : value.toFixed(2)} ×`);

/** The first column is text, the others are figures. */
function tableOf(head, rows) {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i].length)));
  const pad = (cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]));
  const line = (cells) => `| ${cells.map(pad).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

const titles = { null: 'null mount' };

/** The rows of the table of times: [name, title, name of the raw limit]. */
function rowsOf(cases, sizes) {
  const rows = [['mount', 'start to mounted', undefined]];
  for (const one of cases) {
    rows.push([one.name, one.title(sizes), one.raw]);
    if (one.name === 'sync-file') rows.push(['cp-in-sync', 'both', 'multipart-8']);
  }
  return rows;
}

function timesTable({ places, raw }, cases, sizes) {
  const names = Object.keys(places);
  const beside = names.filter((name) => name !== 'pailfs' && places.pailfs);
  const rows = rowsOf(cases, sizes).map(([name, title, limitName]) => {
    const of = (place) => places[place].results[name];
    const limit = raw.find((one) => one.name === limitName);
    const ratios = beside.map((place) => ratioText(ratio(of('pailfs'), of(place))));
    const overRaw = places.pailfs ? ratioText(ratio(of('pailfs'), limit)) : '';
    const limitText = limit ? secondsText(limit.seconds) : '';
    return [title, ...names.map((place) => resultText(of(place))), limitText, ...ratios, overRaw];
  });
  const over = beside.map((name) => `/ ${titles[name] ?? name}`);
  return tableOf(['', ...names.map((name) => titles[name] ?? name), 'raw', ...over, '/ raw'], rows);
}

function requestsTable({ places }, cases, sizes) {
  const names = Object.keys(places).filter((name) => Object.values(places[name].results).some((one) => one?.requests));
  const text = (counts) => {
    const entries = Object.entries(counts ?? {}).sort((a, b) => b[1] - a[1]);
    return entries.map(([name, count]) => `${count} ${name}`).join(', ') || (counts ? '0' : '');
  };
  const rows = cases.map((one) => [
    one.title(sizes),
    ...names.map((name) => text(places[name].results[one.name]?.requests)),
  ]);
  return tableOf(['', ...names], rows);
}

function daemonsTable({ places }) {
  const rows = Object.entries(places)
    .filter(([, { peakBytes }]) => peakBytes > 0)
    .map(([name, one]) => [
      titles[name] ?? name,
      `${one.cpuSeconds.toFixed(1)} s`,
      `${Math.round(one.peakBytes / MiB)} MiB`,
    ]);
  return tableOf(['daemon', 'CPU', 'most resident memory'], rows);
}

function complaints({ places }) {
  const lines = Object.entries(places).flatMap(([place, { results }]) =>
    Object.entries(results)
      .filter(([name, one]) => name !== 'cp-in-sync' && (one?.wrong ?? one?.skipped))
      .map(
        ([name, one]) =>
          `- ${place}, ${name}: ${one.wrong === undefined ? 'not run' : 'fails'}: ${one.wrong ?? one.skipped}`,
      ),
  );
  return lines.join('\n');
}

const overText = ({ places }) =>
  places.pailfs ? 'The columns with a stroke are the time of pailfs over that one.' : '';

/** The whole report. */
export function reportOf(report, cases, sizes) {
  const steering = steeringFigures(report).map(([title, value, unit]) => [
    title,
    value === undefined ? '' : unit === 's' ? secondsText(value) : ratioText(value),
  ]);
  const parts = [
    ...['### Times', overText(report), timesTable(report, cases, sizes), complaints(report)],
    ...[
      '### Raw limits',
      tableOf(
        ['', 'time'],
        report.raw.map(({ title, seconds }) => [title, secondsText(seconds)]),
      ),
    ],
    ...['### Figures to steer by', tableOf(['pailfs', 'figure'], steering)],
    ...['### Daemons', daemonsTable(report), '### Requests', requestsTable(report, cases, sizes)],
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}
