"""Records every topic of a running pipeline for the tests of the export, one record a line.

    truecopy demo --seconds 30 --keep --folder FOLDER
    python tests/export/record_run.py FOLDER/truecopy.toml tests/export/run.jsonl.gz

Raw topics are cut short: their frames are the largest part and all alike.
"""

import gzip
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from connectors.kafka.config import consumer_config
from connectors.kafka.consumer import PartitionReader
from flows.export_source import places_of
from schemas.settings import load

RAW_MAX = 2


def main(settings: Path, out: Path) -> None:
    kafka = load(settings, {}).wiring.kafka
    lines: list[Any] = []
    for place in places_of(kafka, stop=threading.Event()):
        where = (place.full_topic, place.partition)
        config = consumer_config(kafka.bootstrap, fetch_wait_ms=kafka.fetch_wait_ms)
        with PartitionReader(config, {where: 0}) as reader:
            _, end = reader.watermarks(*where)
            if place.topic.startswith("raw."):
                end = min(end, RAW_MAX)
            rows = [row for rows in reader.read_to({where: end}) for row in rows]
        for row in rows[:end]:
            headers = [[name, value.decode()] for name, value in row.headers.items()]
            key = None if row.key is None else row.key.decode()
            lines.append(
                [place.topic, place.partition, row.timestamp_ms, key, headers, row.value.decode()]
            )
    # No time of writing in it, so that recording the same again gives the same file.
    out.write_bytes(gzip.compress(b"\n".join(map(msgspec.json.encode, lines)), 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
