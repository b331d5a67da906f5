"""The counts of topics as a table for people. Pure."""

from collections.abc import Iterable

from rich.table import Table

from infra.inspect.counts import Count
from infra.inspect.human import size, span


def table_of(rows: Iterable[Count]) -> Table:
    """The counts of all topics, for people."""
    table = Table(header_style="dim", box=None, padding=(0, 1))
    for name, side in zip(("topic", "partitions", "records", "bytes"), "lrrr", strict=True):
        table.add_column(name, justify="left" if side == "l" else "right", no_wrap=True)
    for name in ("retention", "lag"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        most = "≤ " if row.compacted and row.records else ""
        lags = [f"{who} {'-' if n is None else f'{n:,}'}" for who, n in row.lag_records.items()]
        table.add_row(
            row.topic,
            "missing" if row.partitions is None else str(row.partitions),
            "-" if row.records is None else f"{most}{row.records:,}",
            size(row.size_bytes),
            retained(row),
            ", ".join(lags),
        )
    return table


def retained(count: Count) -> str:
    """How long records stay, for people."""
    if count.compacted:
        return "last of each key"
    if count.retention_ms is None:
        return "-"
    return "for ever" if count.retention_ms < 0 else span(count.retention_ms)
