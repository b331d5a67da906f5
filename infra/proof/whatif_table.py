"""A what-if as tables: figures of each account, and the tokens held otherwise. Pure."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from infra.inspect.human import amount, usd
from infra.proof.policy_changes import Change
from infra.proof.whatif import Outcome, WhatIf
from schemas.records.base import Account

ROWS = (
    ("orders", "orders"),
    ("holds", "holds"),
    ("bought, shares", "bought_shares_micro"),
    ("bought, USD", "bought_usd_micro"),
    ("sold, shares", "sold_shares_micro"),
    ("sold, USD", "sold_usd_micro"),
    ("fees, USD", "fees_usd_micro"),
    ("invested at the end, USD", "invested_usd_micro"),
    ("realised, USD", "realised_usd_micro"),
)
TOKENS_MAX = 20


def rendered(found: WhatIf, changes: Sequence[Change]) -> Iterator[Table | Text]:
    """Everything to be printed."""
    said = ", ".join(f"{change.key} = {change.value}" for change in changes)
    yield Text(f"what if {said}", style="bold")
    yield Text(
        "recorded: what happened. as it was, changed: the same tape on an ideal venue, where an "
        "order fills at once at the price its book promised."
    )
    for account in dict.fromkeys((*found.same.figures, *found.other.figures)):
        yield _figures(found, account)
    yield _held(found)


def _figures(found: WhatIf, account: Account) -> Table:
    table = Table(title=f"account {account}", title_justify="left", box=None, header_style="dim")
    for name in ("", "recorded", "as it was", "changed", "difference"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for label, key in ROWS:
        was, now = _value(found.same, account, key), _value(found.other, account, key)
        recorded = _value(found.recorded, account, key)
        known = key in found.recorded.figures.get(account, {}) or not key.startswith(
            ("invested", "realised")
        )
        cells = (_shown(key, n) for n in (was, now, now - was))
        table.add_row(label, _shown(key, recorded) if known else "-", *cells)
    return table


def _value(outcome: Outcome, account: Account, key: str) -> int:
    figures = outcome.figures.get(account)
    return 0 if figures is None else figures[key]


def _shown(key: str, value: int) -> str:
    if key.endswith("_usd_micro"):
        return usd(value)
    return amount(value) if key.endswith("_micro") else f"{value:,}"


def _held(found: WhatIf) -> Table | Text:
    """Where exposure at the end differs, the largest difference first."""
    was, now = found.same.held_micro, found.other.held_micro
    differing = {
        key: now.get(key, 0) - was.get(key, 0)
        for key in {**was, **now}
        if now.get(key, 0) != was.get(key, 0)
    }
    if not differing:
        return Text("exposure at the end: the same in every token")
    table = Table(
        title="exposure at the end, in shares", title_justify="left", box=None, header_style="dim"
    )
    for name in ("account", "token", "as it was", "changed", "difference"):
        table.add_column(name, justify="left" if name in ("account", "token") else "right")
    for key in sorted(differing, key=lambda k: -abs(differing[k]))[:TOKENS_MAX]:
        account, token = key
        cells = (was.get(key, 0), now.get(key, 0), differing[key])
        table.add_row(account, found.other.names.token(token), *map(amount, cells))
    if len(differing) > TOKENS_MAX:
        table.caption = f"and {len(differing) - TOKENS_MAX} more tokens"
    return table
