"""What `leaders` and `unfollow` show: who is followed, and what would be sold. Pure."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from flows.core.words import Followed
from infra.cli.tables import shares, short, usd
from infra.inspect.human import printable
from infra.words import Standing
from schemas.records.base import Account, Wallet
from schemas.records.summary import LeaderLine, PositionLine
from schemas.units import format_micro

WALLET_CHARACTERS = 42


def state_of(found: Standing, account: Account, one: Followed) -> str:
    """'followed', or what is halted of it."""
    halts = {
        "leader": found.words.halted("leader", one.leader, account),
        "account": found.words.halted("account", account, account),
    }
    named = [f"{scope} halted at {offset}" for scope, offset in halts.items() if offset is not None]
    return ", ".join(named) or "followed"


def copied(found: Standing, leader: Wallet) -> list[LeaderLine]:
    """Tokens in which a leader has more than his baseline, by the newest Summary."""
    lines = found.summary.leaders if found.summary is not None else ()
    return [line for line in lines if line.leader == leader]


def source(found: Standing, one: Followed) -> str:
    """By what he is followed: a word and its offset on the tape, or the policy."""
    if one.word_offset is not None:
        return f"word at {one.word_offset}"
    return f"policy v{found.policy.version}" if found.policy is not None else "policy"


def leaders_json(found: Standing) -> dict[str, Any]:
    """All of it for other programs, in micro units."""
    return {
        "as_of_ms": found.summary.now_ms if found.summary is not None else None,
        "leaders": [
            {
                "account": account,
                "leader": one.leader,
                "terms": one.terms,
                "since_ms": found.since_ms(account, one),
                "source": source(found, one),
                "state": state_of(found, account, one),
                "exposure": copied(found, one.leader),
            }
            for account, one in found.follows()
        ],
        "unfollowed": [
            {"account": account, "leader": leader, "word_offset": said.offset}
            for (account, leader), said in found.words.said.items()
            if said.terms is None
        ],
        "halts": [
            {"scope": scope, "subject": subject, "account": account, "word_offset": offset}
            for (scope, subject, account), offset in found.words.halts.items()
        ],
    }


def leaders_table(found: Standing) -> Group:
    """The same for people. A wallet stands there whole: it is what the other words are given."""
    table = Table(header_style="dim", box=None, padding=(0, 1))
    for column in ("account", "leader", "name"):
        least = WALLET_CHARACTERS if column == "leader" else None
        table.add_column(column, no_wrap=True, min_width=least)
    for column in ("ratio", "cap", "tokens", "shares"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("start", "since", "by", "state"):
        table.add_column(column, no_wrap=True)
    for account, one in found.follows():
        table.add_row(*map(Text, _leader_row(found, account, one)))
    rest = [
        Text(f"{account} does not follow {leader}: word at {said.offset}", style="dim")
        for (account, leader), said in found.words.said.items()
        if said.terms is None
    ]
    rest += [
        Text(f"halted at {offset}: {scope} {subject}{f' for {only}' if only else ''}", style="red")
        for (scope, subject, only), offset in found.words.halts.items()
    ]
    as_of = "no Summary on the journal yet: exposure is not known"
    if found.summary is not None:
        as_of = f"exposure as of {_moment(found.summary.now_ms)} UTC (fold time)"
    return Group(table, *rest, Text(as_of, style="dim"))


def _leader_row(found: Standing, account: Account, one: Followed) -> tuple[str, ...]:
    terms, lines = one.terms, copied(found, one.leader)
    ratio = format_micro(terms.ratio_micro)
    weight = f" x {format_micro(terms.weight_micro)}" if terms.weight_micro != 1_000_000 else ""
    since_ms = found.since_ms(account, one)
    return (
        account,
        one.leader,
        printable(terms.name),
        f"{ratio}{weight}",
        usd(terms.cap_usd_micro),
        str(len(lines)),
        shares(sum(line.exposure_micro - line.baseline_micro for line in lines)),
        terms.start,
        _moment(since_ms) if since_ms is not None else "-",
        source(found, one),
        state_of(found, account, one),
    )


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def sold(found: Standing, account: Account, leader: Wallet) -> list[PositionLine]:
    """Our positions in tokens that he stands behind: what unfollowing him sells at most."""
    tokens = [line.token for line in copied(found, leader)]
    positions = found.summary.positions if found.summary is not None else ()
    return [
        line
        for line in positions
        if line.account == account
        and line.token in tokens
        and line.position_micro > line.kept_micro
    ]


def sold_table(found: Standing, account: Account, leader: Wallet) -> Group:
    """What would be sold, before the question."""
    lines = sold(found, account, leader)
    table = Table(header_style="dim", box=None, padding=(0, 1))
    for column in ("market", "outcome"):
        table.add_column(column, no_wrap=True)
    for column in ("ours", "cost"):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        named = (printable(short(line.title)), printable(line.outcome))
        table.add_row(
            *map(
                Text, (*named, shares(line.position_micro - line.kept_micro), usd(line.cost_micro))
            )
        )
    parts: list[Table | Text] = [table] if lines else [Text("no position that he stands behind")]
    if found.summary is None:
        parts = [Text("no Summary on the journal yet: what would be sold is not known")]
    notes = "What other leaders back stays. Nothing is kept: `truecopy halt leader` sells nothing."
    return Group(*parts, Text(notes))


def overlay_lines(found: Standing) -> list[str]:
    """For `policy apply`: what words make of the file, one line each."""
    lines = []
    names = [account.name for account in found.document.accounts]
    for (account, leader), said in found.words.said.items():
        if account not in names:
            continue
        now = "does not follow" if said.terms is None else "follows"
        terms = "" if said.terms is None else f" at ratio {format_micro(said.terms.ratio_micro)}"
        lines.append(f"{account} {now} {leader}{terms}, by the word at {said.offset}")
    for (scope, subject, only), offset in found.words.halts.items():
        lines.append(f"halted: {scope} {subject} {f'for {only} ' if only else ''}at {offset}")
    return lines
