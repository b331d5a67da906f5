"""A status as tables for people."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from infra.status import Line, Status
from schemas.records.summary import AccountLine
from schemas.units import format_micro


def rendered(found: Status) -> Group:
    """The status as tables for people."""
    if found.summary_n < 0:
        return Group(Text("no Summary on the journal yet: the flow writes one each ten seconds"))
    at = datetime.fromtimestamp(found.as_of_ms / 1000, tz=UTC).strftime("%H:%M:%S")
    parts: list[Table | Text] = [Text(f"as of {at} UTC (fold time)", style="bold")]
    parts.append(_accounts(found))
    parts.append(_positions(found))
    if found.working:
        parts.append(_working(found))
    parts.append(_feeds(found))
    return Group(*parts)


TITLE_MAX = 34


def short(title: str) -> str:
    """A market's title in one column: its beginning and its end, which tell series apart."""
    return title if len(title) <= TITLE_MAX else f"{title[:12]}…{title[13 - TITLE_MAX :]}"


def shares(micro: int) -> str:
    """Shares for people, to the hundredth that can be ordered."""
    return f"{micro / 1_000_000:,.2f}"


def usd(micro: int | None) -> str:
    """Dollars for people, to the cent; a dash for what is not known."""
    return "-" if micro is None else f"{micro / 1_000_000:,.2f}"


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", header_style="dim", box=None, padding=(0, 1))
    for column in columns:
        right = column not in ("account", "market", "outcome", "hold", "state", "feed", "producer")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    return table


def _accounts(found: Status) -> Table:
    table = _table(
        "accounts",
        (
            "account",
            "cash",
            "age s",
            "value",
            "invested",
            "realised",
            "unrealised",
            "fees",
            "orders",
        ),
    )
    for name, line in found.accounts.items():
        mine = [each for (account, _), each in found.lines.items() if account == name]
        table.add_row(*_account_row(name, line, mine, found.as_of_ms))
    return table


def _account_row(name: str, line: AccountLine, mine: list[Line], now_ms: int) -> tuple[str, ...]:
    known = [each.value_micro for each in mine if each.value_micro is not None]
    gains = [each.unrealised_micro for each in mine if each.unrealised_micro is not None]
    age = "-" if line.cash_as_of_ms is None else f"{(now_ms - line.cash_as_of_ms) / 1000:.0f}"
    return (
        name,
        usd(line.cash_micro),
        age,
        usd(sum(known)),
        usd(line.invested_micro),
        usd(line.realised_micro),
        usd(sum(gains)),
        usd(line.fees_micro),
        str(line.orders),
    )


def _positions(found: Status) -> Table:
    table = _table(
        "positions",
        ("market", "outcome", "target", "position", "in flight", "gap", "value", "age s", "hold"),
    )
    for line in found.lines.values():
        age = "-"
        if line.bid_as_of_ms is not None:
            age = f"{max(found.as_of_ms - line.bid_as_of_ms, 0) / 1000:.0f}"
        worth = f"{usd(line.value_micro)}{' paid' if line.payout_micro is not None else ''}"
        table.add_row(
            short(line.title),
            line.outcome,
            shares(line.target_micro),
            shares(line.position_micro + line.owed_micro),
            shares(line.in_flight_micro),
            shares(line.gap_micro),
            worth,
            age,
            line.hold or "",
        )
    return table


def _working(found: Status) -> Table:
    table = _table("working orders", ("account", "outcome", "side", "shares", "limit", "state"))
    for order in found.working.values():
        line = found.lines.get((order.account, order.token))
        table.add_row(
            order.account,
            line.outcome if line is not None else order.token[:10],
            order.side,
            shares(order.shares_micro),
            format_micro(order.limit_micro),
            order.state,
        )
    return table


def _feeds(found: Status) -> Table:
    table = _table("feeds", ("producer", "feed", "state", "age s"))
    for feed in found.feeds:
        age = "-" if feed.age_ms is None else f"{feed.age_ms / 1000:.1f}"
        table.add_row(feed.producer, feed.feed, feed.state, age)
    return table
