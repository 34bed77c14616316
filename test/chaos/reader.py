"""
The reader of invariant I2: while a run is being killed it looks at destination names, again and again, and hashes what it sees. Each look
must find nothing or one whole version. Ends when its standard input closes; prints one JSON document; exits 1 when it saw anything else.

    reader.py DESTINATION VERSIONS      VERSIONS: {key: [[size, sha256], …]} of all whole versions; @FILE reads from a file
"""
import json
import os
import random
import select
import sys

from oracle import document
from stores import open_place

MOST_NAMED = 20
LARGE = 32 << 20


def ended():
    """Whether whoever started us closed our input."""
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(ready) and not os.read(sys.stdin.fileno(), 1)


def main(place, versions):
    os.nice(5)
    store, chance = open_place(place), random.Random(1)
    keys = sorted(versions)
    large = [key for key in keys if versions[key][0][0] >= LARGE]
    seen = {'looks': 0, 'absent': 0, 'whole': 0, 'large_whole': 0, 'unreachable': 0, 'wrong': []}
    turn = 0
    while not ended():
        turn += 1
        key = large[turn // 100 % len(large)] if large and turn % 100 == 0 else chance.choice(keys)
        try:
            found = store.digest(key)
        except Exception as error:  # a server that is restarted or busy shows nothing: neither right nor wrong
            seen['unreachable'] += 1
            seen['last_error'] = str(error)[:200]
            continue
        seen['looks'] += 1
        if found is None:
            seen['absent'] += 1
        elif found in versions[key]:
            seen['whole'] += 1
            seen['large_whole'] += key in large
        elif len(seen['wrong']) < MOST_NAMED:
            seen['wrong'].append({'key': key, 'found': found})
    print(json.dumps(seen))
    sys.exit(1 if seen['wrong'] else 0)


if __name__ == '__main__':
    main(*(document(text) for text in sys.argv[1:]))
