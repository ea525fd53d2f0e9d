/**
 * What is not in S3 yet, as one line that people can follow: how much, how fast, and for how long still. On a terminal the
 * line is drawn again in its place; elsewhere it is a new line now and then, when something has changed.
 */
import { counted, durationText, sizeText } from './amount.js';

export interface Progress {
  /** Files, directories and renames that S3 does not have. */
  readonly files: number;
  /** Of these files. */
  readonly bytes: number;
  /** Objects that are to be deleted. */
  readonly removals: number;
  /** Of `bytes`, sent in requests that S3 has not answered. */
  readonly underWay: number;
  /** Sent since somebody began to look (bytes). */
  readonly sent: number;
  /** S3 does not answer: tries go on by themselves. */
  readonly isAway: boolean;
  /** Why a file failed that is tried again. */
  readonly failing?: string;
}

export interface ProgressSample extends Progress {
  /** Monotonic (ms). */
  readonly at: number;
}

/** The rate is that of so long (ms). */
const WINDOW_MS = 10_000;

/** "12 files, 3.4 MiB, 2 deletions". */
export function leftText({ files, bytes, removals }: Pick<Progress, 'files' | 'bytes' | 'removals'>): string {
  const parts = files > 0 ? [counted(files, 'file'), sizeText(bytes)] : [];
  if (removals > 0) parts.push(counted(removals, 'deletion'));
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** Bytes a second, over the last samples; undefined while nothing can be said. */
export function rateOf(samples: readonly ProgressSample[]): number | undefined {
  const last = samples.at(-1);
  if (last === undefined) return undefined;
  const first = samples.find(({ at }) => last.at - at <= WINDOW_MS) ?? last;
  const seconds = (last.at - first.at) / 1000;
  const sent = last.sent - first.sent;
  return seconds <= 0 || sent <= 0 ? undefined : sent / seconds;
}

/** What the last of these samples says; undefined: nothing is left. */
export function progressText(samples: readonly ProgressSample[]): string | undefined {
  const last = samples.at(-1);
  if (last === undefined || last.files + last.removals === 0) return undefined;
  const text = `uploading: ${leftText(last)} left`;
  const why = last.failing === undefined ? '' : ` (${last.failing})`;
  if (last.isAway) return `${text}; S3 does not answer, trying again${why}`;
  if (why !== '') return `${text}; trying again what failed${why}`;
  const rate = rateOf(samples);
  if (rate === undefined) return text;
  const seconds = Math.max(1, Math.ceil(Math.max(0, last.bytes - last.underWay) / rate));
  return `${text}, ${sizeText(rate)}/s, about ${durationText(seconds)}`;
}

export interface ProgressLineOptions {
  /** Takes a line; on a terminal, text as it is. */
  readonly write: (text: string) => void;
  /** Columns of the terminal; undefined: it is none. */
  readonly columns?: number;
  /** Elsewhere at most one line in so long (ms). */
  readonly everyMs: number;
  readonly now: () => number;
}

export class ProgressLine {
  readonly #options: ProgressLineOptions;
  #samples: ProgressSample[] = [];
  #saidAt = Number.NEGATIVE_INFINITY;
  #said: string | undefined;

  constructor(options: ProgressLineOptions) {
    this.#options = options;
  }

  tell(progress: Progress): void {
    const { columns, now, write, everyMs } = this.#options;
    const at = now();
    this.#samples = [...this.#samples.filter((sample) => at - sample.at <= WINDOW_MS), { ...progress, at }];
    const text = progressText(this.#samples);
    if (columns !== undefined) {
      if (text === undefined) this.end();
      else write(`\r\x1b[K${`pailfs: ${text}`.slice(0, Math.max(20, columns - 1))}`);
      this.#said = text;
      return;
    }
    if (text === undefined || text === this.#said || at - this.#saidAt < everyMs) return;
    this.#said = text;
    this.#saidAt = at;
    write(text);
  }

  /** Takes the line away from a terminal. */
  end(): void {
    if (this.#options.columns !== undefined && this.#said !== undefined) this.#options.write('\r\x1b[K');
    this.#said = undefined;
  }
}
