/**
 * Counts what tests said, from raw TAP: an assertion is one, a subtest is only the sum of its own, and one that failed
 * without a failed assertion (a plan not kept, a time limit, a crash) counts as a failure itself.
 */
import { Parser } from 'tap-parser';

/**
 * @typedef {{ passed: number, failed: number, skipped: number, failures: string[], skips: string[] }} Count
 */

/** @returns {Count} */
export function emptyCount() {
  return { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
}

/** What follows the name of a failure: the diagnostics, as they were printed. */
function details({ diag }) {
  if (!diag) return '';
  const { stack: _stack, ...shown } = diag;
  return `\n${JSON.stringify(shown, undefined, 2).slice(0, 4000)}`.replaceAll('\n', '\n      ');
}

/** What tap says of itself; other comments are figures that a test prints. */
const OWN_COMMENT = /^# (Subtest\b|\{ total|time=|No coverage)/;

/** Reads one level; answers how many failures it has seen so far, in it and below. */
function watch(parser, count, path, told) {
  let failures = 0;
  let below;
  parser.on('child', (child) => {
    below = watch(child, count, [...path, child.name], { onComment: told.onComment });
  });
  parser.on('comment', (comment) => {
    if (!OWN_COMMENT.test(comment.trim())) told.onComment?.(comment.trim());
  });
  parser.on('assert', (result) => {
    const inside = below;
    below = undefined;
    const name = [...path, result.name].join(' > ');
    if (inside !== undefined) {
      failures += inside();
      if (path.length === 0) told.onFile?.(result);
      if (result.ok || inside() > 0) return;
    }
    if (result.skip) {
      count.skipped += 1;
      count.skips.push(typeof result.skip === 'string' ? `${name}: ${result.skip}` : name);
    } else if (result.ok || result.todo) count.passed += 1;
    else {
      failures += 1;
      count.failed += 1;
      count.failures.push(name + details(result));
    }
  });
  return () => failures;
}

/**
 * @param {(result: { ok: boolean, name: string, time: number | null }) => void} [onFile] told of each file at its end
 * @param {(comment: string) => void} [onComment] told of each figure that a test prints
 * @returns {{ parser: Parser, count: Count }} write the TAP to the parser
 */
export function countTap(onFile, onComment) {
  const count = emptyCount();
  const parser = new Parser();
  watch(parser, count, [], { onFile, onComment });
  parser.on('bailout', (reason) => {
    count.failed += 1;
    count.failures.push(`bailed out: ${reason}`);
  });
  return { parser, count };
}
