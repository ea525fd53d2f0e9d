"""What leveldb.sh runs: `write N` puts N values in a database with small buffers, so that it writes and compacts tables,
deletes a third of them, and is killed; `look` opens it anew, which replays its log, and reads all.
"""
import os
import signal
import sys

import plyvel

UNSYNCED = 500


def value(number):
    return b'value %d ' % number * (1 + number % 30)


def opened(**how):
    return plyvel.DB('base', write_buffer_size=1 << 18, max_file_size=1 << 20, **how)


def write(count):
    db = opened(create_if_missing=True, error_if_exists=True)
    for begin in range(0, count, 100):
        with db.write_batch(sync=begin % 1000 == 0) as batch:
            for number in range(begin, begin + 100):
                batch.put(b'%08d' % number, value(number))
    for number in range(0, count, 3):
        db.delete(b'%08d' % number)
    db.compact_range()
    db.close()


def die(count):
    """Whatever write(2) took survives the death of the process, synced or not."""
    db = opened()
    for number in range(count, count + UNSYNCED):
        db.put(b'%08d' % number, value(number))
    db.put(b'last', b'synced', sync=True)
    os.kill(os.getpid(), signal.SIGKILL)


def look(count):
    db = opened()
    found = dict(db.iterator(verify_checksums=True))
    wanted = {b'%08d' % n: value(n) for n in range(count + UNSYNCED) if n >= count or n % 3}
    wanted[b'last'] = b'synced'
    assert found == wanted, '%d values, wanted %d' % (len(found), len(wanted))
    assert db.get(b'%08d' % 7) == value(7) and db.get(b'%08d' % 9) is None
    db.close()


if sys.argv[1] == 'write':
    count = int(sys.argv[2])
    write(count)
    pid = os.fork()
    if pid == 0:
        die(count)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with open('count', 'w') as file:
        file.write(str(count))
else:
    with open('count') as file:
        look(int(file.read()))
