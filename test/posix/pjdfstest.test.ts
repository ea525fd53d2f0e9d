/** How a run of pjdfstest is compared with the committed list, and that the list says of each group why. */
import t from 'tap';
import { expectedFailures } from './expected-failures.js';
import { type Answer, compare, parseAnswers } from './pjdfstest.js';

const output = `
chmod::ctime::regular                                                     ok
link::remove_link::fifo                                                   FAILED
\tcalled \`Result::unwrap()\` on an \`Err\` value: EPERM
link::link_count_max                                                      skipped
\tCannot get value for LINK_MAX

Summary: 1 failed, 1 skipped, 1 passed, 0 expected failures, 3 total
`;

const answers = parseAnswers(output);
const list = ['link::remove_link::fifo'];
const leftOut = new Set(['link::link_count_max']);

t.test('what it says is read', async (t) => {
  const expected: Array<[string, Answer]> = [
    ['chmod::ctime::regular', 'ok'],
    ['link::remove_link::fifo', 'FAILED'],
    ['link::link_count_max', 'skipped'],
  ];
  t.same([...answers], expected);
});

t.test('a run that is as the list says', async (t) => {
  t.same(compare(answers, list, 3, leftOut), { passed: 1, expected: 1, skipped: 1, problems: [] });
});

t.test('whatever is not as the list says is a failure', async (t) => {
  const problems = (more: ReadonlyArray<[string, Answer]>, expected = list, total = 3): readonly string[] =>
    compare(new Map([...answers, ...more]), expected, total, leftOut).problems;
  t.match(problems([['chmod::ctime::regular', 'FAILED']]), ['chmod::ctime::regular failed']);
  t.match(problems([['link::remove_link::fifo', 'ok']]), [/passed unexpectedly/]);
  t.match(problems([['link::remove_link::fifo', 'skipped']]), [/left out/]);
  t.match(problems([], [...list, 'link::gone']), [/there is no such test/]);
  t.match(problems([], list, 398), ['3 tests, there should be 398']);
  t.equal(compare(new Map(), list, 398, leftOut).problems.length, 2, 'nor is one that said nothing');
});

t.test('each expected failure is there once, with a clause and a limit', async (t) => {
  const tests = expectedFailures.flatMap((group) => group.tests);
  t.equal(new Set(tests).size, tests.length);
  for (const { clause, limit } of expectedFailures) {
    t.match(clause, /^X(BD|SH) /);
    t.ok(limit.length > 20);
  }
});
