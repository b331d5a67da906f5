"""The digest of what the fold makes of a tape, with nothing but msgspec and the standard library.

Also a program: `python tests/golden/digests.py TAPE` prints it as JSON, on whatever Python runs it.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from flows.core.fold import FoldState, fold
from flows.core.sealing import Sealed
from schemas import codec

TOPICS = ("journal", "orders", "watch")


def folded(lines: Iterable[bytes]) -> Iterator[Sealed]:
    """All that the fold makes of a tape, in order."""
    state = FoldState()
    for offset, line in enumerate(lines):
        yield from fold(state, offset, codec.decode(line))


def digests(out: Iterable[Sealed]) -> dict[str, str]:
    """SHA-256 of each topic: number, key, headers and value of every record, lengths included."""
    found = {topic: hashlib.sha256() for topic in TOPICS}
    for each in out:
        headers = [part for name, value in each.headers for part in (name.encode(), value)]
        for part in (b"%d" % each.number, each.key, *headers, each.value):
            found[each.topic].update(b"%d:" % len(part) + part)
    return {topic: digest.hexdigest() for topic, digest in found.items()}


if __name__ == "__main__":
    print(json.dumps(digests(folded(Path(sys.argv[1]).read_bytes().splitlines()))))
