/**
 * What a page of docs/ promises, sentence by sentence, and the tests that execute it. A promise ends with footnotes, each of
 * which names a subtest by its file and title, or a command of the long tests; what follows on "Why:" explains, and what
 * follows on "Not promised:" is a limit, up to the end of the paragraph or item.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../src/package.js';

const root = fileURLToPath(packageRoot);

export interface Sentence {
  readonly line: number;
  readonly text: string;
  /** Labels of its footnotes. */
  readonly references: readonly string[];
  /** What it follows on: then it promises nothing. */
  readonly marker?: 'Why:' | 'Not promised:';
}

export interface Footnote {
  readonly line: number;
  readonly label: string;
  /** As in `mount/keys` or `npm run test:crash`. */
  readonly where: string;
  readonly title?: string;
}

export interface Page {
  readonly sentences: readonly Sentence[];
  readonly footnotes: readonly Footnote[];
  /** Lines that begin like a footnote and are none. */
  readonly malformed: readonly number[];
}

interface Block {
  line: number;
  text: string;
}

const REFERENCE = /\[\^([^\]]*)\]/g;
const FOOTNOTE = /^\[\^([a-z0-9-]+)\]: `([^`]+)`(?:: (.+))?$/;

/** Paragraphs, items of lists, and rows of tables; headings, heads of tables and fenced code promise nothing. */
function blocksOf(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  let isCode = false;
  for (const [at, line] of lines.entries()) {
    const text = line.trim();
    if (text.startsWith('```')) isCode = !isCode;
    const isRow = text.startsWith('|');
    const isHead = isRow && /^\s*\|[\s|:-]+\|\s*$/.test(lines[at + 1] ?? '');
    const isRule = /^\|[\s|:-]+\|$/.test(text);
    if (isCode || text === '' || /^(#|```|\[\^[^\]]*\]:)/.test(text) || isHead || isRule) {
      open = undefined;
      continue;
    }
    if (open === undefined || isRow || /^[-*] |^\d+\. /.test(text)) {
      open = { line: at + 1, text: text.replace(/^[-*] |^\d+\. /, '') };
      blocks.push(open);
    } else open.text += ` ${text}`;
    if (isRow) open = undefined;
  }
  return blocks;
}

/** Where sentences end; what stands in code ends none. */
function cut(text: string): string[] {
  const plain = text.replace(/`[^`]*`/g, (code) => '`'.repeat(code.length));
  const sentences: string[] = [];
  let from = 0;
  for (const { 0: end, index } of plain.matchAll(/[.!?][)*_"]*(?:\s*\[\^[^\]]*\])*(?=\s|$)/g)) {
    sentences.push(text.slice(from, index + end.length).trim());
    from = index + end.length;
  }
  const rest = text.slice(from).replace(/^[\s|]+|[\s|]+$/g, '');
  return rest === '' ? sentences : [...sentences, rest];
}

function sentencesOf({ line, text }: Block): Sentence[] {
  let marker: Sentence['marker'];
  return cut(text).map((one) => {
    const begun = /^(Why:|Not promised:)/.exec(one)?.[1] as Sentence['marker'];
    marker = begun ?? marker;
    return { line, text: one, references: [...one.matchAll(REFERENCE)].map((match) => match[1]), marker };
  });
}

export function readPage(text: string): Page {
  const lines = text.split('\n');
  const footnotes: Footnote[] = [];
  const malformed: number[] = [];
  for (const [at, line] of lines.entries()) {
    if (!line.trimStart().startsWith('[^') || !line.includes(']:')) continue;
    const match = FOOTNOTE.exec(line);
    if (match === null) malformed.push(at + 1);
    else footnotes.push({ line: at + 1, label: match[1], where: match[2], title: match[3] });
  }
  return { sentences: blocksOf(lines).flatMap(sentencesOf), footnotes, malformed };
}

/** Titles of the subtests of a file, with … for what is put in. Helpers take the title first, as t.test does. */
export function titlesIn(source: string): Set<string> {
  const calls = source.matchAll(
    /^\s*(?:await |return )?(?:t\.test|\w+)\(\s*(?:'((?:\\.|[^'\\])*)'|`((?:\\.|[^`\\])*)`|"((?:\\.|[^"\\])*)")/gm,
  );
  return new Set(
    [...calls].map((match) => (match[1] ?? match[2] ?? match[3]).replace(/\\(.)/g, '$1').replace(/\$\{[^}]*\}/g, '…')),
  );
}

function sourcesBelow(directory: string): string {
  if (!existsSync(join(root, directory))) return '';
  const files = readdirSync(join(root, directory), { recursive: true }) as string[];
  const sources = files
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(root, directory, file), 'utf8'));
  return sources.join('\n');
}

/** Why a footnote names nothing that could execute a promise; undefined: it does. */
export function troubleWith({ where, title }: Footnote): string | undefined {
  const script = /^npm run (test:([a-z]+))$/.exec(where);
  if (script !== null) {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    if (scripts[script[1]] === undefined) return `package.json has no ${script[1]}`;
    if (title !== undefined && !sourcesBelow(`test/${script[2]}`).includes(`'${title}'`)) return `it has no ${title}`;
    return undefined;
  }
  const suite = /^(scripts\/[\w-]+\.sh) (\w+)$/.exec(where);
  if (suite !== null) {
    const path = join(root, suite[1]);
    const knows = existsSync(path) && readFileSync(path, 'utf8').includes(suite[2]);
    return knows && title === undefined ? undefined : 'there is no such command';
  }
  // npm test runs every file of that name below test/.
  const path = join(root, 'test', `${where}.test.ts`);
  if (!existsSync(path)) return 'there is no such test';
  if (title === undefined) return 'it names no subtest';
  return titlesIn(readFileSync(path, 'utf8')).has(title) ? undefined : `it has no subtest "${title}"`;
}

/** What is wrong with a page, a line each. */
export function troublesOf(page: Page): string[] {
  const troubles = page.malformed.map((line) => `line ${line}: not a footnote: [^label]: \`where\`: title`);
  const defined = new Map<string, Footnote>();
  const seen = new Map<string, string>();
  for (const footnote of page.footnotes) {
    const { label, line, where, title } = footnote;
    if (defined.has(label)) troubles.push(`line ${line}: [^${label}] is there twice`);
    defined.set(label, footnote);
    const test = `${where}: ${title}`;
    if (seen.has(test)) troubles.push(`line ${line}: [^${label}] is the same as [^${seen.get(test)}]`);
    seen.set(test, label);
    const trouble = troubleWith(footnote);
    if (trouble !== undefined) troubles.push(`line ${line}: [^${label}] ${where}: ${trouble}`);
  }
  const used = new Set(page.sentences.flatMap(({ references }) => references));
  for (const { line, text, references, marker } of page.sentences) {
    for (const label of references) {
      if (!defined.has(label)) troubles.push(`line ${line}: [^${label}] is not defined`);
    }
    if (marker === undefined && references.length === 0) troubles.push(`line ${line}: no test: ${text}`);
    // An errno or an option in an explanation is a promise in disguise.
    if (marker === 'Why:' && /\bE[A-Z]{2,}\b|`--/.test(text))
      troubles.push(`line ${line}: this promises something: ${text}`);
  }
  for (const { label, line } of page.footnotes) {
    if (!used.has(label)) troubles.push(`line ${line}: [^${label}] is used nowhere`);
  }
  return troubles;
}
