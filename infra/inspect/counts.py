"""What `truecopy topics list` shows: records, bytes, retention and who is how far behind.

Lag is the distance from a group's committed offset to the end. The flow commits at each snapshot,
execution after each order; connectors read nothing but watch and cursors, and commit nothing.
"""

from collections.abc import Iterable, Mapping

import msgspec

from connectors.kafka.consumer import Place
from connectors.kafka.offsets import GroupOffsets
from infra.inspect.broker import Bounds, Broker
from infra.inspect.logdirs import NoAnswer, sizes
from infra.topics import declared, inspect
from schemas.wiring import Wiring


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """One declared topic. None: not known here. records of a compacted topic are at most so many.

    lag_records by process, None while it has committed nothing.
    """

    topic: str
    partitions: int | None
    records: int | None
    size_bytes: int | None
    retention_ms: int | None
    compacted: bool | None
    lag_records: dict[str, int | None]


def readers(wiring: Wiring) -> dict[str, dict[str, str]]:
    """Process and its consumer group, by the topic it reads."""
    return {
        "tape": {"flow": wiring.flow.group},
        "orders": {"execution": f"truecopy-{wiring.execution.producer}"},
    }


def lag(bounds: Mapping[Place, Bounds], committed: Mapping[Place, int | None]) -> int | None:
    """Records between what is committed and the end, over all partitions; None if nothing is.

    A position before the log's beginning counts from there: what is gone cannot be read.
    """
    known = {place: offset for place, offset in committed.items() if offset is not None}
    if not known:
        return None
    return sum(bounds[p].end - max(offset, bounds[p].low) for p, offset in known.items())


def counted(broker: Broker, wiring: Wiring) -> tuple[list[Count], list[str]]:
    """Every declared topic, and what the broker could not tell."""
    prefix, notes = wiring.kafka.prefix, list[str]()
    wanted = {name.removeprefix(prefix): topic for name, topic in declared(prefix).items()}
    there = [broker.topic(name) for name in wanted if prefix + name in broker.partitions]
    bounds = broker.bounds(place for topic in there for place in topic.places)
    found, _ = inspect(broker.admin, declared(prefix))
    known = _sizes(broker, notes)
    if broker.embedded:
        notes.append("the embedded broker tells neither bytes nor retention")
    rows = []
    for name in wanted:
        full = prefix + name
        mine = {place: each for place, each in bounds.items() if place[0] == full}
        config = found[full].config if full in found else None
        rows.append(_count(name, mine, known, config, readers(wiring).get(name, {}), broker))
    missing = [row.topic for row in rows if row.partitions is None]
    if missing:
        notes.append(f"missing: {', '.join(missing)}; run `truecopy topics apply`")
    return rows, notes


def _count(
    name: str,
    bounds: Mapping[Place, Bounds],
    known: Mapping[Place, int] | None,
    config: Mapping[str, str] | None,
    groups: Mapping[str, str],
    broker: Broker,
) -> Count:
    lines = config or {}
    retention = lines.get("retention.ms")
    return Count(
        topic=name,
        partitions=len(bounds) or None,
        records=sum(end - low for low, end in bounds.values()) if bounds else None,
        size_bytes=None if known is None else sum(known.get(place, 0) for place in bounds),
        retention_ms=int(retention) if retention else None,
        compacted="compact" in lines["cleanup.policy"] if lines else None,
        lag_records={
            process: lag(bounds, committed(broker.kafka.bootstrap, group, bounds))
            for process, group in groups.items()
        },
    )


def committed(bootstrap: str, group: str, places: Iterable[Place]) -> dict[Place, int | None]:
    """A group's position in each partition; None where it has none."""
    offsets = GroupOffsets(bootstrap, group)
    try:
        found = {place: offsets.committed(*place) for place in places}
    finally:
        offsets.close()
    return {place: None if each is None else each.offset for place, each in found.items()}


def _sizes(broker: Broker, notes: list[str]) -> dict[Place, int] | None:
    if broker.embedded:
        return None
    try:
        return sizes(broker.brokers)
    except NoAnswer as why:
        notes.append(f"bytes are not known: {why}")
        return None
