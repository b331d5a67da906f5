"""What a broker says of its topics: which there are, from where to where, since when.

Reads only, and only with calls that the embedded broker answers too; what it cannot tell (sizes,
configuration, offsets by time) is left to the caller, who knows it by `embedded`. Topics are never
asked for by name, which would make the embedded broker create them.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not in its __all__
    AdminClient,
    OffsetSpec,
)

from connectors.kafka.config import admin_config
from connectors.kafka.consumer import Place, wait_through
from infra.topics import EMBEDDED
from schemas.wiring import KafkaWiring

T = TypeVar("T")
ANSWER_TIMEOUT_S = 5.0
PATIENCE_S = 5.0
"""A broker that is starting or changing its leader answers within this; an absent one never."""
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class UnknownTopic(ValueError):
    """The broker has no such topic; the message names the nearest."""


class Topic(NamedTuple):
    """A topic: its full name, its name without our prefix, and how many partitions it has."""

    name: str
    short: str
    partitions: int

    @property
    def places(self) -> list[Place]:
        """All its partitions."""
        return [(self.name, number) for number in range(self.partitions)]


class Bounds(NamedTuple):
    """First offset that is still there and the one after the last."""

    low: int
    end: int


class Broker:
    """A look at a broker; what it has is asked once, when this is made. Raises KafkaFailed."""

    def __init__(self, kafka: KafkaWiring, *, patience_s: float = PATIENCE_S) -> None:
        self.kafka = kafka
        self._patience_s = patience_s
        self.admin = AdminClient(admin_config(kafka.bootstrap))
        found = self.ask(lambda: self.admin.list_topics(timeout=patience_s), "topics")
        self.embedded = (found.cluster_id or "").startswith(EMBEDDED)
        self.brokers = {node.id: (str(node.host), node.port) for node in found.brokers.values()}
        self.partitions: dict[str, int] = {
            name: len(topic.partitions) for name, topic in found.topics.items()
        }

    def ask(self, call: Callable[[], T], what: str) -> T:
        """The answer, waited for through what passes by itself; raises KafkaFailed."""
        return wait_through(call, f"{what} of {self.kafka.bootstrap}", timeout_s=self._patience_s)

    def topic(self, text: str) -> Topic:
        """The topic of this name, with or without our prefix; raises UnknownTopic."""
        return choose(self.partitions, self.kafka.prefix, text)

    def bounds(self, places: Iterable[Place]) -> dict[Place, Bounds]:
        """From where to where each partition reaches now."""
        asked = list(places)
        lows = self._offsets(dict.fromkeys(asked, EARLIEST))
        ends = self._offsets(dict.fromkeys(asked, LATEST))
        return {place: Bounds(lows[place], ends[place]) for place in asked}

    def since(self, bounds: Mapping[Place, Bounds], ms: int) -> dict[Place, int]:
        """The first offset of each partition that is not older; its end if all are.

        The embedded broker has no index of times and answers nothing: ask elsewhere there.
        """
        found = self._offsets(dict.fromkeys(bounds, OffsetSpec.for_timestamp(ms)))
        return {p: end if found[p] < 0 else found[p] for p, (_, end) in bounds.items()}

    def _offsets(self, asked: Mapping[Place, OffsetSpec]) -> dict[Place, int]:
        specs = {TopicPartition(*place): spec for place, spec in asked.items()}
        if not specs:
            return {}

        def answers() -> dict[Place, int]:
            found = self.admin.list_offsets(specs, request_timeout=ANSWER_TIMEOUT_S)
            return {
                (place.topic, place.partition): answer.result(ANSWER_TIMEOUT_S + 1).offset
                for place, answer in found.items()
            }

        return self.ask(answers, "offsets")


def choose(partitions: Mapping[str, int], prefix: str, text: str) -> Topic:
    """The topic that the text names; raises UnknownTopic."""
    for name in (prefix + text, text):
        if name in partitions:
            return Topic(name, name.removeprefix(prefix), partitions[name])
    ours = [name.removeprefix(prefix) for name in partitions if name.startswith(prefix)]
    near = difflib.get_close_matches(text, ours, n=1, cutoff=0.0)
    hint = f"did you mean {near[0]}?" if near else "run `truecopy topics apply`"
    raise UnknownTopic(f"the broker has no topic {prefix}{text}; {hint}")
