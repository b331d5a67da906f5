"""What the demo prints: a live view while it runs, and the report at its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from infra.cli.tables import rendered, shares, short, usd
from infra.demo.evidence import Evidence
from infra.demo.judge import Verdict
from infra.demo.measure import holds, hops, slippage
from infra.demo.stage import Stage
from infra.demo.token_lines import TokenLine, lines
from infra.status import read_status
from schemas.records import journal


@contextmanager
def live_view(stage: Stage, console: Console) -> Iterator[Callable[[], None]]:
    """A view of the running pipeline; the function that refreshes it is yielded."""
    if not console.is_terminal:
        console.print("running; the live view needs a terminal")
        yield lambda: None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda: live.update(rendered(read_status(stage.settings.wiring.kafka)), refresh=True)


def print_report(
    console: Console, found: Evidence, verdicts: list[Verdict], account: str, took_s: float
) -> None:
    """Exposure, orders, fills, slippage, holds, latency, and the verdicts last."""
    console.print(_exposures(lines(found, account)))
    console.print(_orders(found))
    console.print(_holds(found))
    console.print(_hops(found))
    table = Table(title=f"verdicts after {took_s:.0f} s", title_justify="left", box=None)
    for name in ("", "promise", "evidence"):
        table.add_column(name, overflow="fold")
    for verdict in verdicts:
        mark = "[green]held[/]" if verdict.held else "[bold red]BROKEN[/]"
        table.add_row(mark, verdict.name, verdict.detail)
    console.print(table)


def _exposures(tokens: list[TokenLine]) -> Table:
    table = Table(title="exposure by token, in shares", title_justify="left", box=None)
    for name in ("market", "outcome"):
        table.add_column(name)
    for name in ("leaders", "our target", "ours", "difference", "band"):
        table.add_column(name, justify="right")
    table.add_column("")
    for line in sorted(tokens, key=lambda each: (each.title, each.outcome)):
        state = "resolved" if line.ended else (line.hold or ("met" if line.met else "MISSED"))
        table.add_row(
            short(line.title),
            line.outcome,
            shares(line.leaders_micro),
            shares(line.target_micro),
            shares(line.position_micro),
            shares(line.target_micro - line.position_micro),
            shares(line.band_micro),
            state,
        )
    return table


def _orders(found: Evidence) -> Table:
    requests = found.requests()
    ends: dict[str, int] = {}
    for event in found.of(journal.OrderProgress):
        if event.state in ("filled", "refused", "expired", "absent"):
            name = event.state if event.shares_micro or event.state != "filled" else "killed"
            ends[name] = ends.get(name, 0) + 1
    fills = found.of(journal.FillBooked)
    failed = [e for e in found.of(journal.FillSettled) if e.status == "FAILED"]
    paid = slippage(found)
    table = Table(title="orders", title_justify="left", box=None, show_header=False)
    table.add_row("asked for", str(len(requests)))
    table.add_row("ended", ", ".join(f"{n} {name}" for name, n in sorted(ends.items())))
    table.add_row("fills booked", f"{len(fills)}, of which {len(failed)} failed and were reversed")
    redeemed = found.of(journal.PositionRedeemed)
    dollars = usd(sum(event.cash_micro for event in redeemed))
    table.add_row("redeemed", f"{len(redeemed)} positions for {dollars} USD")
    table.add_row(
        "slippage against the touch",
        f"{paid.foreseen_cents:.3f} c/share foreseen, {paid.paid_cents:.3f} c/share paid, "
        f"over {paid.orders} orders; fees {usd(paid.fees_usd_micro)} USD",
    )
    return table


def _holds(found: Evidence) -> Table:
    table = Table(title="holds by reason", title_justify="left", box=None, show_header=False)
    for reason, count in holds(found).most_common():
        table.add_row(reason, str(count))
    return table


def _hops(found: Evidence) -> Table:
    table = Table(title="time per hop, ms", title_justify="left", box=None)
    table.add_column("hop")
    for name in ("n", "p50", "p95", "worst"):
        table.add_column(name, justify="right")
    for name, value in hops(found).items():
        table.add_row(
            name, str(value.n), f"{value.p50:.1f}", f"{value.p95:.1f}", f"{value.worst:.1f}"
        )
    return table
