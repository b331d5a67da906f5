"""What a flow counts beside its work, against the fold's own state."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from confluent_kafka import KafkaError

from connectors.kafka.config import Health
from connectors.telemetry.clients import away
from flows.core.fold import Entry, FoldState, fold
from flows.core.sealing import SealState, seal_events
from flows.engine.hub import Progress
from flows.engine.rows import OutRow
from flows.flow_meter import FlowMeter, waits
from schemas import codec
from schemas.records import journal
from schemas.records.base import Account, Record, Token
from schemas.records.system import Tick
from tests.core.conftest import World


def rows(*events: Record, start: int = 0) -> list[OutRow]:
    """Events as the journal's sink is given them."""
    state = SealState()
    state.next_number["journal"] = start
    sealed = seal_events(state, 7, list(events))
    return [OutRow(s.number, s.key, s.value, s.headers) for s in sealed if s.topic == "journal"]


def held(token: str, reason: str) -> journal.OrderHeld:
    return journal.OrderHeld(
        account=Account("main"), token=Token(token), reason=reason,
        target_micro=0, position_micro=0, gap_micro=0, numbers={},
    )  # fmt: skip


def ended(token: str, reason: str) -> journal.HoldEnded:
    return journal.HoldEnded(
        account=Account("main"), token=Token(token), reason=reason, count=1, for_ms=5
    )


def tick(now_ms: int) -> Tick:
    return Tick(producer="public", seq=0, now_ms=now_ms, feeds={})


def test_open_holds_are_those_begun_and_not_ended() -> None:
    meter = FlowMeter()
    meter.journalled(rows(held("1", "no_depth"), held("2", "no_depth"), held("3", "signal_old")))
    assert meter.holds() == {"no_depth": 2, "signal_old": 1}
    meter.journalled(rows(ended("1", "no_depth"), held("1", "signal_old"), ended("9", "unknown")))
    assert meter.holds() == {"no_depth": 1, "signal_old": 2}
    assert meter.events() == {"OrderHeld": 4, "HoldEnded": 2}


def test_alarms_are_counted_by_name() -> None:
    meter, alarm = FlowMeter(), journal.Alarm(name="cap", subject="s", detail="d", numbers={})
    meter.journalled(rows(alarm, alarm))
    assert meter.alarms == {"cap": 2}


def test_fold_time_is_the_largest_tick_and_its_lag_that_to_the_clock() -> None:
    meter = FlowMeter(lambda: 10_250 * 1_000_000)
    assert meter.lag_s() is None
    other = held("1", "x")
    for batch in ([tick(9_000), other, tick(10_000), other], [other], [tick(9_900)], []):
        meter.decoded([Entry(0, record) for record in batch])
    assert meter.fold_ms == 10_000
    assert meter.lag_s() == 0.25


def journals(tape: Sequence[Record]) -> Iterator[tuple[FoldState, list[OutRow]]]:
    state = FoldState()
    for offset, record in enumerate(tape):
        sealed = fold(state, offset, record)
        found = [OutRow(s.number, s.key, s.value, s.headers) for s in sealed]
        yield state, [row for s, row in zip(sealed, found, strict=True) if s.topic == "journal"]


def true_holds(state: FoldState) -> dict[str, float]:
    accounts = state.plan.accounts.values()
    return dict(Counter(hold.reason for account in accounts for hold in account.holds.values()))


def test_holds_equal_the_folds_own_at_every_record() -> None:
    """Also for a meter that begins in the middle, once it has met a Summary."""
    world = World().begin(summary_every_ms=2_000)
    world.wait(10_000)
    world.depth([("0.39", "900")], [])
    world.fills("5000", tx="0x1", source="feed")
    world.wait(3_000)
    world.epoch(state="ended", reason="echo")
    world.wait(3_000)
    world.epoch(n=2)
    world.closed()
    world.wait(3_000)
    early, late, knows = FlowMeter(), FlowMeter(), False
    seen: dict[tuple[str, ...], None] = {}
    kinds: Counter[str] = Counter()
    for n, (state, found) in enumerate(journals(world.tape)):
        early.journalled(found)
        kinds.update(type(codec.unseal(row.value)[1]).__name__ for row in found)
        assert early.holds() == true_holds(state)
        seen[tuple(sorted(early.holds()))] = None
        if n > len(world.tape) // 3:
            late.journalled(found)
            knows = knows or any(row.headers[0][1] == b"Summary" for row in found)
            assert not knows or late.holds() == true_holds(state)
    assert knows
    assert len(seen) > 2
    assert early.events() == kinds


def test_catching_up_is_told_in_records() -> None:
    progress = Progress()
    assert progress.behind() == "not reading yet"
    progress.first_end, progress.due = 12, 5
    assert progress.behind() == "7 records of the tape to go"
    progress.due = 40
    assert progress.behind() == ""


def test_a_client_without_its_broker_says_so_until_traffic_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = Health("tape")
    assert away(health) == ""
    health.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert away(health) == "tape waits for Kafka: _ALL_BROKERS_DOWN"
    health.on_traffic()
    assert away(health) == ""


def test_a_flow_that_has_not_come_to_its_tape_yet_does_not_say_that_kafka_is_there() -> None:
    progress = Progress()
    assert waits(progress) == "nothing read from it yet"
    progress.reading = Health("tape")
    assert waits(progress) == ""
    progress.reading.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert waits(progress) == "tape waits for Kafka: _ALL_BROKERS_DOWN"
