"""Records about the pipeline itself: the tape's beginning, generations, policy and time."""

from typing import Literal

from schemas.policy import PolicyDocument
from schemas.records.base import Account, Part, Record

SCHEMA_VERSION = 1
"""Version of the set of tape records; Genesis and snapshots carry it."""


class Genesis(Record, frozen=True):
    """Offset 0 of every tape partition. tape_id names this tape in snapshots and archives."""

    tape_id: str
    schema: int
    shard: int
    accounts: tuple[Account, ...]


class FlowStarted(Record, frozen=True):
    """A dataflow process begins to decide; the record's own offset is its generation."""

    shard: int
    rules: int


class ConnectorStarted(Record, frozen=True):
    """A connector process begins; its instance id is '<producer>-<offset of this record>'.

    Whatever an earlier instance of the same producer held live (book epochs, feeds) ends here.
    """

    producer: str
    role: Literal["public", "account", "paper"]


class Policy(Record, frozen=True):
    """All that the decisions may know besides the world; the newest one on the tape rules."""

    version: int
    document: PolicyDocument


class FeedState(Part, frozen=True):
    """One feed as its producer sees it. last_data_ms: receipt of the newest data, 0 if none yet."""

    state: Literal["up", "suspect", "down"]
    last_data_ms: int


class Tick(Record, frozen=True):
    """The only clock of the decisions: every connector appends one each 100 ms.

    account: whose feeds these are; None: no account's own, or the only one's of its shard.
    """

    producer: str
    seq: int
    now_ms: int
    feeds: dict[str, FeedState]
    account: Account | None = None
