"""What lmdb.sh runs: `write N` fills two databases by three processes each, N transactions a process, one with a writable
map; a fourth process is killed in the middle of one. `look` opens them anew and counts.
"""
import os
import signal
import sys

import lmdb

WRITERS = 3
ROWS = 20


def opened(name, **how):
    # A writable map makes the file as large as this at once.
    return lmdb.open(name, map_size=3 << 20, max_dbs=2, **how)


def value(writer, number, row):
    return b'%d %d %d ' % (writer, number, row) * (1 + (number * 7 + row) % 40)


def write(name, writer, transactions, how):
    env = opened(name, **how)
    table = env.open_db(b'table')
    for number in range(transactions):
        with env.begin(write=True) as txn:
            for row in range(ROWS):
                txn.put(b'%d/%06d/%d' % (writer, number, row), value(writer, number, row), db=table)
            # A third of what was written goes, so that pages are used again.
            if number % 3 == 2:
                for row in range(ROWS):
                    txn.delete(b'%d/%06d/%d' % (writer, number - 1, row), db=table)
    env.close()


def die_in_a_transaction(name, how):
    env = opened(name, **how)
    txn = env.begin(write=True)
    for row in range(1000):
        txn.put(b'x/%d' % row, b'never committed' * 50, db=env.open_db(b'table', txn=txn))
    os.kill(os.getpid(), signal.SIGKILL)


def child(function, *args):
    pid = os.fork()
    if pid:
        return pid
    try:
        function(*args)
    except BaseException as error:
        print('why: %s: %r' % (function.__name__, error), flush=True)
        os._exit(1)
    os._exit(0)


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fill(name, transactions, how):
    opened(name, **how).close()
    pids = [child(write, name, writer, transactions, how) for writer in range(WRITERS)]
    assert [ended(pid) for pid in pids] == [0] * WRITERS, 'a writer failed'
    assert ended(child(die_in_a_transaction, name, how)) == -signal.SIGKILL
    # The lock of the one that was killed is free again.
    write(name, WRITERS, 3, how)


def look(name, transactions):
    env = opened(name, create=False)
    with env.begin(db=env.open_db(b'table')) as txn:
        found = dict(txn.cursor())
    env.close()
    wanted = {}
    for writer in range(WRITERS + 1):
        count = transactions if writer < WRITERS else 3
        for number in range(count):
            if number % 3 == 1 and number + 1 < count:
                continue
            for row in range(ROWS):
                wanted[b'%d/%06d/%d' % (writer, number, row)] = value(writer, number, row)
    assert found == wanted, '%s: %d rows, wanted %d' % (name, len(found), len(wanted))


if sys.argv[1] == 'write':
    transactions = int(sys.argv[2])
    fill('plain', transactions, {})
    fill('map', transactions, {'writemap': True})
    with open('transactions', 'w') as file:
        file.write(str(transactions))
else:
    with open('transactions') as file:
        transactions = int(file.read())
    look('plain', transactions)
    look('map', transactions)
