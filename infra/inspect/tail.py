"""`truecopy topics tail` without its rim: the records of a topic that pass a filter, and names.

Nothing is skipped because it could not be decoded. Names are looked up in the tape once, and again
while following, since the topic that is followed may not be the one that names things.
"""

from collections.abc import Generator, Iterable, Iterator

from connectors.kafka.consumer import Place, Row
from infra.inspect.broker import Broker
from infra.inspect.filters import Filter
from infra.inspect.lines import Item, Shape, opened, shape_of
from infra.inspect.names import NAMING, Names
from infra.inspect.places import At, Since
from infra.inspect.reading import after, between, last_rows, merged, starts_of

HEAD = 2_000
"""Records at a tape's beginning that are looked through for names: Policy and the first markets."""
BACK = 50_000
"""And at its end."""
SUMMARY_BACK = 2_000


class TapeNames:
    """Names as the tape gives them: its beginning, its end, and on demand what came since.

    A market whose MarketMeta lies in between has its name from the journal's newest Summary, or
    none: then tokens are shown by their ids.
    """

    def __init__(self, broker: Broker, names: Names) -> None:
        self.names = names
        self._broker = broker
        self._reached: dict[Place, int] = {}

    def look(self) -> None:
        """Learn what is to be learned without reading the whole tape."""
        broker, prefix = self._broker, self._broker.kafka.prefix
        for topic, head, back in (("journal", 0, SUMMARY_BACK), ("tape", HEAD, BACK)):
            if prefix + topic not in broker.partitions:
                continue
            for place, (low, end) in broker.bounds(broker.topic(topic).places).items():
                begun = min(low + head, end)
                self._learn(place, low, begun)
                self._learn(place, max(begun, end - back), end)
                if topic == "tape":
                    self._reached[place] = end

    def catch_up(self) -> None:
        """Learn what was appended to the tape since the last look."""
        for place, (_, end) in self._broker.bounds(self._reached).items():
            self._learn(place, self._reached[place], end)
            self._reached[place] = end

    def _learn(self, place: Place, start: int, end: int) -> None:
        for row in between(self._broker, place, start, end):
            if row.headers.get("kind", b"").decode(errors="replace") in NAMING:
                self.names.learn(opened(row, _shape(self._broker, place)).record)


class Tail:
    """The rows of one topic that pass a filter. names: None where nobody needs them."""

    def __init__(
        self, broker: Broker, places: list[Place], wanted: Filter, names: TapeNames | None
    ) -> None:
        self._broker = broker
        self._wanted = wanted
        self._tape_names = names
        self.names = names.names if names is not None else Names()
        self.shape: Shape = _shape(broker, places[0])
        self._bounds = broker.bounds(places)
        self._names_elsewhere = places[0][0] != f"{broker.kafka.prefix}tape"
        if names is not None:
            names.look()

    def last(self, count: int) -> Iterator[Item]:
        """The last so many that match."""
        rows = last_rows(
            self._broker, self._bounds, count, lambda row: self._taken(row) is not None
        )
        yield from self._items(rows)

    def since(self, place: At | Since) -> Iterator[Item]:
        """All that match, from a place on. Raises BeyondEnd."""
        starts = starts_of(self._broker, self._bounds, place)
        yield from self._items(merged(self._broker, starts, self._bounds))

    def follow(self) -> Generator[Item, None, None]:
        """What is appended after the end as it was when this began, for ever."""
        for rows in after(self._broker, {place: end for place, (_, end) in self._bounds.items()}):
            if rows and self._tape_names is not None and self._names_elsewhere:
                self._tape_names.catch_up()
            yield from self._items(rows)

    def _items(self, rows: Iterable[Row]) -> Iterator[Item]:
        return (item for row in rows if (item := self._taken(row)) is not None)

    def _taken(self, row: Row) -> Item | None:
        item = opened(row, self.shape)
        self.names.learn(item.record)
        if item.record is not None:
            return item if self._wanted.admits(item.record, self.names) else None
        if item.problem:  # nobody can tell what it mentions
            return item
        return item if self._wanted.admits_raw(row.value or row.key or b"") else None


def _shape(broker: Broker, place: Place) -> Shape:
    return shape_of(place[0].removeprefix(broker.kafka.prefix))
