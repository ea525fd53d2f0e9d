import t from 'tap';
import { opcode } from '../../src/fuse/abi.js';
import { Call } from '../../src/fuse/call.js';
import type { RequestHeader } from '../../src/fuse/frame.js';
import { InterruptedCalls } from '../../src/fuse/interrupted-calls.js';

const POLLS_MS = 500;
const pause = () => new Promise((resolve) => setTimeout(resolve, POLLS_MS));

/** A call that waits for its answer, and was interrupted by a signal that has a handler. */
function handled(code: number) {
  let now = 0;
  const header = { uniqueLow: 1, uniqueHigh: 0, uid: 0, gid: 0, pid: 7, nodeid: 1, opcode: code } as RequestHeader;
  const call = new Call(header);
  call.pending = true;
  const clock = { now: () => 0, monotonic: () => now };
  const calls = new InterruptedCalls(
    (_, alsoHandled) => alsoHandled,
    (one) => {
      one.replied = true;
    },
    clock,
  );
  calls.add(call);
  const after = async (ms: number): Promise<boolean> => {
    now = ms;
    await pause();
    return call.signal.aborted;
  };
  return { calls, call, after };
}

t.test('a signal with a handler interrupts what takes long, and what waits is answered for', async (t) => {
  const { calls, call, after } = handled(opcode.READ);
  t.notOk(await after(9_000));
  // Another signal does not begin the wait anew.
  calls.add(call);
  t.ok(await after(11_000));
  await pause();
  t.ok(call.replied);
  calls.end();
});

t.test('it never interrupts what brings over what was written', async (t) => {
  for (const code of [opcode.WRITE, opcode.FLUSH, opcode.FSYNC, opcode.FSYNCDIR]) {
    const { calls, after } = handled(code);
    t.notOk(await after(600_000), `opcode ${code}`);
    calls.end();
  }
});
