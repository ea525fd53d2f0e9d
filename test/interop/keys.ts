/**
 * Keys that only a client of S3 makes, or that are odd in a key and not in a name, and what each tool shows of them. Each
 * is in a directory of its own, so that one that a tool cannot list hides no other.
 */
import type { CapabilityName } from '../conformance/capabilities.js';
import type { Tool } from './expected.js';

export interface OddKeys {
  /** Keys below the directory; each holds what bodyOf() says, or nothing. */
  readonly keys: readonly string[];
  readonly empty?: readonly string[];
  /** Some servers have no such keys. */
  readonly needs?: CapabilityName;
  /** Paths below the directory, and what a program reads there, or the error it gets. Directories have none. */
  readonly shown: Readonly<Record<Tool, Readonly<Record<string, string>>>>;
}

const LONG = 'l'.repeat(300);
/** What each object holds. */
export const bodyOf = (key: string): string => key.slice(0, 40);
export const DIRECTORY = 'is a directory';

export const oddKeys: Readonly<Record<string, OddKeys>> = {
  slashes: {
    keys: ['a//b'],
    needs: 'emptyComponents',
    shown: {
      pailfs: { a: DIRECTORY, 'a/=pailfs=': DIRECTORY, 'a/=pailfs=/b': 'a//b' },
      s3fs: { a: 'ENOENT' },
      rclone: { a: DIRECTORY },
    },
  },
  beside: {
    keys: ['n', 'n/x'],
    needs: 'objectBesidePrefix',
    shown: { pailfs: { '=pailfs-object=n': 'n', n: DIRECTORY, 'n/x': 'n/x' }, s3fs: { n: 'n' }, rclone: { n: 'n' } },
  },
  marker: {
    keys: ['m/'],
    needs: 'slashContent',
    shown: { pailfs: { m: DIRECTORY, 'm/=pailfs-object=': 'm/' }, s3fs: { m: DIRECTORY }, rclone: { m: DIRECTORY } },
  },
  dots: {
    keys: ['./a', '../b'],
    needs: 'dotKeys',
    shown: {
      pailfs: { '=pailfs=.': DIRECTORY, '=pailfs=./a': './a', '=pailfs=..': DIRECTORY, '=pailfs=../b': '../b' },
      s3fs: {},
      rclone: { '．': DIRECTORY, '．．': DIRECTORY },
    },
  },
  long: {
    keys: [LONG],
    needs: 'longComponents',
    shown: {
      pailfs: {
        [`=pailfs-long=${LONG.slice(60)}`]: DIRECTORY,
        [`=pailfs-long=${LONG.slice(60)}/=pailfs=${LONG.slice(240)}`]: bodyOf(LONG),
      },
      s3fs: { [LONG]: bodyOf(LONG) },
      rclone: { [LONG]: bodyOf(LONG) },
    },
  },
  control: {
    keys: ['ctl\u0001', 'del\u007f'],
    needs: 'controlCharacters',
    shown: {
      pailfs: { 'ctl\u0001': 'ctl\u0001', 'del\u007f': 'del\u007f' },
      s3fs: { '': 'No such file or directory' },
      rclone: { 'ctl␁': 'ctl\u0001', 'del␡': 'del\u007f' },
    },
  },
  escaped: {
    keys: ['=pailfs=bad%FF'],
    shown: {
      pailfs: { 'bad\udcff': '=pailfs=bad%FF' },
      s3fs: { '=pailfs=bad%FF': '=pailfs=bad%FF' },
      rclone: { '=pailfs=bad%FF': '=pailfs=bad%FF' },
    },
  },
  hadoop: {
    keys: ['x_$folder$'],
    empty: ['h_$folder$'],
    shown: {
      pailfs: { x_$folder$: 'x_$folder$', h: DIRECTORY },
      s3fs: { h: DIRECTORY, x: DIRECTORY },
      rclone: { h_$folder$: '', x_$folder$: 'x_$folder$' },
    },
  },
};
