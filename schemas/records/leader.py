"""Records about the wallets we follow. Fills are levels: each record states a total so far."""

from typing import Literal

from schemas.records.base import Condition, Group, Record, Side, Token, Wallet


class LeaderFills(Record, frozen=True):
    """Total so far of one fill group, as one source instance saw it; repeating it changes nothing.

    source 'feed': one socket connection (instance), whose view may be short or doubled.
    source 'rest': one complete REST answer (instance); it replaces, up or down.
    venue_ms is the venue's whole second (feed: block time - 1 s; REST: block time).
    """

    source: Literal["feed", "rest"]
    instance: str
    leader: Wallet
    group: Group
    tx: str
    token: Token
    condition: Condition
    side: Side
    rows: int
    shares_micro: int
    cash_micro: int
    venue_ms: int
    recv_ns: int


class LeaderMove(Record, frozen=True):
    """Total of one SPLIT, MERGE or REDEEM of a leader, as a REST answer states it.

    delta_micro says per token what it does to his holding: a split adds to both outcomes, a merge
    takes from both, a redemption burns one. cash_micro is what he paid (-) or got (+).
    """

    instance: str
    leader: Wallet
    group: Group
    tx: str
    move: Literal["SPLIT", "MERGE", "REDEEM"]
    condition: Condition
    delta_micro: dict[Token, int]
    cash_micro: int
    venue_ms: int
    recv_ns: int


class ReadDone(Record, frozen=True):
    """One REST answer about a leader is on the tape in full: it covers [from_ms, upto_ms].

    present lists every group it contained, also those not re-appended because nothing changed;
    a group of that stretch that is missing here was absent from the answer.
    """

    source: Literal["trades", "activity"]
    instance: str
    leader: Wallet
    asked_ms: int
    from_ms: int
    upto_ms: int
    present: tuple[Group, ...]


class LeaderIncomplete(Record, frozen=True):
    """Something a leader did could not be read or followed (unknown row, conversion): no increases.

    Ends when a positions report asked later agrees with what we rebuilt.
    """

    leader: Wallet
    instance: str
    reason: str
