"""The polars examples of the README run as they stand, and print what they say they print."""

import contextlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.exporting.archive import Origin, SliceWriter
from flows.exporting.tables import tables_of
from infra.demo.evidence import Evidence, Placed
from infra.demo.measure import holds, hops, slippage
from schemas import codec
from schemas.records import journal
from schemas.records.summary import Summary

DOCS = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)
SHOWN = {
    "tbl_rows": 8,
    "tbl_cols": 12,
    "tbl_width_chars": 100,
    "fmt_str_lengths": 40,
    "tbl_hide_dataframe_shape": True,
    "tbl_hide_column_data_types": True,
}


@pytest.fixture(scope="module")
def archive(recorded_run: list[Any], rows_of: Any, tmp_path_factory: Any) -> Path:
    """The recorded run as Parquet, where the examples look for it: var/archive."""
    home: Path = tmp_path_factory.mktemp("docs")
    for topic in ("tape", "journal"):
        rows = rows_of([sent for sent in recorded_run if sent.topic == topic])
        writer = SliceWriter(home / "var" / "archive", Origin("t", topic, topic, 0), 0)
        writer.write(tables_of(topic, 0, rows))
        writer.close(len(rows) - 1)
    return home


@pytest.fixture(scope="module")
def examples(archive: Path) -> Iterator[dict[str, Any]]:
    """The names that the blocks leave behind, and `blocks`: (printed, said to be printed)."""
    names: dict[str, Any] = {"blocks": []}
    with contextlib.chdir(archive), pl.Config(**SHOWN):
        for code, said in BLOCK.findall(DOCS.read_text()):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, DOCS, "exec"), names)
            names["blocks"].append((out.getvalue(), said))
        yield names


@pytest.fixture(scope="module")
def evidence(recorded_run: list[Any]) -> Evidence:
    """The same run, as the demo's judge reads it."""

    def placed(topic: str) -> list[Placed]:
        sent = [s for s in recorded_run if s.topic == topic]
        return [Placed(i, s.timestamp_ms, codec.decode(s.value)) for i, s in enumerate(sent)]

    found = Evidence(tape=placed("tape"), journal_rows=[], orders_rows=[], truth={}, posted=[])
    for sent in recorded_run:
        if sent.topic == "journal":
            envelope, event = codec.unseal(sent.value)
            found.events.append(Placed(envelope.cause, sent.timestamp_ms, event))
    return found


def test_every_example_prints_what_the_page_shows(examples: dict[str, Any]) -> None:
    blocks = examples["blocks"]
    assert len(blocks) == 6
    for printed, said in blocks:
        assert printed == said


def test_positions_over_time_end_where_the_last_summary_says(
    examples: dict[str, Any], evidence: Evidence
) -> None:
    last = evidence.of(Summary)[-1]
    summed: Counter[str] = Counter()
    for fill in evidence.of(journal.FillBooked):
        summed[fill.token] += fill.shares_micro if fill.side == "BUY" else -fill.shares_micro
    known = {line.token: line.position_micro + line.settled_micro for line in last.positions}
    assert {token: size for token, size in known.items() if size} == dict(summed)
    ends = examples["positions"].group_by("market").agg(pl.col("position").last())
    assert sorted(ends["position"]) == sorted(Decimal(size).scaleb(-6) for size in summed.values())


def test_slippage_equals_what_the_demo_reports(
    examples: dict[str, Any], evidence: Evidence
) -> None:
    reported = slippage(evidence)
    (estimated, realised), *_ = examples["weighted"].rows()
    assert len(examples["slippage"]) == reported.orders
    assert estimated == pytest.approx(reported.foreseen_cents, abs=0.001)
    assert realised == pytest.approx(reported.paid_cents, abs=0.001)


def test_holds_by_reason_equal_what_the_demo_reports(
    examples: dict[str, Any], evidence: Evidence
) -> None:
    assert dict(examples["holds"].select("reason", "holds").rows()) == dict(holds(evidence))


def test_latency_per_hop_equals_what_the_demo_reports(
    examples: dict[str, Any], evidence: Evidence
) -> None:
    reported = hops(evidence)
    found = {hop: (n, p50, worst) for hop, n, p50, _, worst in examples["latency"].rows()}
    for name in ("signed -> sent", "sent -> answered", "tape -> order on its topic"):
        spread = reported[
            {"tape -> order on its topic": "tape record -> order on its topic"}.get(name, name)
        ]
        assert found[name] == (
            spread.n,
            pytest.approx(spread.p50, abs=0.1),
            pytest.approx(spread.worst, abs=0.1),
        )


def test_leaders_and_ours_are_the_sums_of_their_windows_and_our_fills(
    examples: dict[str, Any], evidence: Evidence
) -> None:
    theirs: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    for delta in evidence.of(journal.NetDelta):
        theirs[delta.token] += delta.bought_micro
    for fill in evidence.of(journal.FillBooked):
        if fill.side == "BUY":
            ours[fill.token] += fill.shares_micro
    both = sorted((round(theirs[t] / 1e6, 3), round(ours[t] / 1e6, 3)) for t in ours)
    assert sorted(examples["versus"].select("theirs", "ours").rows()) == both
