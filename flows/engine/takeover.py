"""May a flow begin without a snapshot? Only if its own rules decided what stands in the journal.

It would fold the tape from the beginning and decide everything again; the same rules write the same
bytes, other rules must take over what was decided (`truecopy rebuild`).
"""

from flows.engine.errors import StartRefused
from flows.engine.hub import Hub
from flows.engine.watermarks import REBUILD
from schemas import codec


def refuse_other_rules(hub: Hub, topic: str, partition: int, rules: int) -> None:
    """Raise StartRefused if the journal's first or last record was made by other rules."""
    low, end = hub.watermarks(topic, partition)
    for offset in dict.fromkeys((low, end - 1)) if end > low else ():
        with hub.reader(topic, partition, offset) as reader:
            rows = next(reader.read_to({(topic, partition): offset + 1}))
        envelope, _ = codec.unseal(rows[0].value)
        if envelope.rules != rules:
            raise StartRefused(
                f"record {envelope.n} of {topic}/{partition} was decided by rules "
                f"{envelope.rules}, this flow has rules {rules} and no snapshot: it would decide "
                f"again what was decided once. {REBUILD}"
            )
