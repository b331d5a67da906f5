"""What execution says of itself, from what its mirror and its stop file hold."""

import asyncio
import logging
import time
from pathlib import Path

import pytest

from connectors.execution.mirror import Mirror
from connectors.execution.said import Said
from schemas.records.base import Intent
from schemas.records.system import Tick
from schemas.wiring import ExecutionWiring
from tests.waiting import WAIT_S

NOW_MS = 1_764_000_000_000


class Process:
    """Said, with a clock, a stop file and a mirror of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "STOP"
        self.mirror = Mirror("paper")
        self.said = Said(
            ExecutionWiring(stop_file=str(self.file)),
            stopped=self.file.exists,
            clock_ns=lambda: NOW_MS * 1_000_000,
        )
        self.rows_s: float | None = None
        self.said.reads(self.mirror, lambda: self.rows_s)

    def tick(self, ago_ms: int, producer: str = "public") -> None:
        record = Tick(producer=producer, seq=0, now_ms=NOW_MS - ago_ms, feeds={})
        self.mirror.take([(self.mirror.position, record)], self.mirror.position + 1)

    def waits_for(self) -> dict[str, bool | str]:
        return {k: v for k, v in self.said.telemetry.readiness.report().items() if v is not True}

    def page(self) -> list[str]:
        return self.said.telemetry.metrics.page().decode().splitlines()


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path)


def test_it_is_ready_when_both_topics_are_read_the_clock_fits_and_nothing_stops_it(
    process: Process,
) -> None:
    assert list(process.waits_for()) == ["tape", "orders", "clock"]
    process.said.tape_read()
    process.said.orders_read()
    process.tick(0, producer="paper")
    assert process.waits_for() == {"clock": "no Tick read yet"}
    process.tick(-501)
    assert process.waits_for() == {"clock": "-0.501 s from the newest Tick"}
    process.tick(2_000)
    assert process.waits_for() == {"clock": "+2.000 s from the newest Tick"}
    process.tick(500)
    assert process.waits_for() == {}
    process.file.touch()
    assert process.waits_for() == {"stop_file": "the stop file is there: nothing is sent"}
    assert process.said.telemetry.heart.trouble() == ""


def test_posts_are_counted_by_outcome_and_timed(process: Process) -> None:
    for outcome, took_s in (("accepted", 0.04), ("accepted", 0.3), ("unknown", 10.0)):
        process.said.posted(outcome, took_s)
    process.said.posted("refused", -0.2)  # the wall clock was set back while the POST was out
    page = process.page()
    for line in (
        'truecopy_posts_total{outcome="accepted"} 2.0',
        'truecopy_posts_total{outcome="unknown"} 1.0',
        'truecopy_post_seconds_bucket{le="0.05"} 2.0',
        "truecopy_post_seconds_count 4.0",
        "truecopy_post_seconds_sum 10.34",
    ):
        assert line in page


def test_orders_without_an_end_are_counted_by_state(process: Process) -> None:
    states = ("signed", "unknown", "unknown", "filled", "absent", "expired", "refused")
    for n, state in enumerate(states):
        process.mirror.ledger.life(Intent(f"main:1:{n}:0")).state = state  # type: ignore[assignment]
    assert process.said.orders_open() == {"signed": 1, "unknown": 2}
    assert 'truecopy_orders_open{state="unknown"} 2.0' in process.page()


def test_the_age_of_the_newest_record_is_there_once_there_was_one(process: Process) -> None:
    assert not any(line.startswith("truecopy_tape_read_age") for line in process.page())
    process.rows_s = time.monotonic() - 3
    (line,) = [each for each in process.page() if each.startswith("truecopy_tape_read_age")]
    assert 3 <= float(line.split()[1]) < 30


async def test_the_stop_files_coming_and_going_are_one_line_each(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "truecopy.execution"):
        watching = asyncio.create_task(process.said.watch())
        for act in (process.file.touch, process.file.unlink):
            lines = len(caplog.records)
            act()
            async with asyncio.timeout(WAIT_S):
                while len(caplog.records) == lines:
                    await asyncio.wait([watching], timeout=0.05)
        watching.cancel()
        await asyncio.wait([watching])
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", f"stop_file=there path={str(process.file)!r}"),
        ("INFO", f"stop_file=gone path={str(process.file)!r}"),
    ]
