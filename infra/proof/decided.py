"""What was decided already, by the tape offset that caused it: journal, orders and watch read side
by side with the tape.

Causes never step back, so each topic is read once, in order, one record ahead.
"""

from collections.abc import Iterator

from connectors.kafka.consumer import Row
from flows.core.watching import What
from infra.proof.chain import Chain, Link
from infra.proof.recordings import Recording, RecordingBroken
from schemas import codec
from schemas.records.journal import Watch

_NOTHING: list[Link] = []


class Decided:
    """Journal or orders, taken cause by cause. ended: nothing stands behind what was taken."""

    def __init__(self, recording: Recording, topic: str) -> None:
        self.topic = topic
        self.chain = Chain(topic)
        self._links = self.chain.walk(recording.rows(topic))
        self._next = next(self._links, None)

    @property
    def ended(self) -> bool:
        """Whether nothing stands behind what was taken."""
        return self._next is None

    @property
    def next_rules(self) -> int | None:
        """Version of the rules that decided what comes next; None at the end."""
        return None if self._next is None else self._next.envelope.rules

    @property
    def next_cause(self) -> int | None:
        """Tape offset of what comes next; None at the end."""
        return None if self._next is None else self._next.envelope.cause

    def at(self, offset: int) -> list[Link]:
        """What the record at this tape offset led to; offsets must be asked for in order."""
        if self._next is None or self._next.envelope.cause > offset:
            return _NOTHING
        taken: list[Link] = []
        while self._next is not None and self._next.envelope.cause <= offset:
            if self._next.envelope.cause < offset:
                raise RecordingBroken(
                    f"{self.topic} record {self._next.envelope.n} names tape offset "
                    f"{self._next.envelope.cause} as its cause, behind one that names a later "
                    "offset: it is not the journal of this tape"
                )
            taken.append(self._next)
            self._next = next(self._links, None)
        return taken

    def close(self) -> None:
        """Leave the recording, in the middle or at its end."""
        self._links.close()


class WatchTopic:
    """The compacted topic of wishes as it stands: the newest record of each key by its number."""

    def __init__(self, batches: Iterator[list[Row]]) -> None:
        self.next_number = 0
        self.last_cause = -1
        self.last_rules = 0
        self._newest: dict[tuple[What, str], tuple[int, int, bool]] = {}
        for rows in batches:
            for row in rows:
                self._take(row)

    def _take(self, row: Row) -> None:
        if not row.value:
            return  # a deletion by hand: the key is as if it had never been
        envelope, event = codec.unseal(row.value)
        if not isinstance(event, Watch):
            raise RecordingBroken(f"watch at offset {row.offset} holds {type(event).__name__}")
        key = (event.what, event.subject)
        if key not in self._newest or self._newest[key][0] < envelope.n:
            self._newest[key] = (envelope.n, envelope.cause, event.on)
        if envelope.n >= self.next_number:
            self.next_number = envelope.n + 1
            self.last_cause, self.last_rules = envelope.cause, envelope.rules

    def on(self) -> dict[tuple[What, str], int]:
        """Subjects that are watched by what stands there, with the tape offset that caused it."""
        return {key: cause for key, (_, cause, on) in self._newest.items() if on}
