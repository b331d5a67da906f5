"""What a sans-I/O session wants done. Drivers do it in order and decide nothing."""

from dataclasses import dataclass

from schemas.records.base import Record
from schemas.records.journal import Undecodable


@dataclass(frozen=True, slots=True)
class Append:
    """Put a record on the tape."""

    record: Record
    key: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Put what could not be decoded on `dead`."""

    record: Undecodable


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Close this connection and open another; the reason is for the log and the epochs."""

    reason: str


@dataclass(frozen=True, slots=True)
class FetchBooks:
    """Ask REST for the books of these tokens and hand the answer back to the session."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RereadMarket:
    """What we know of this market is out of date; subject is a token or a condition id."""

    subject: str
    why: str


@dataclass(frozen=True, slots=True)
class Resync:
    """Read everything again by REST: the connection may have missed something."""

    why: str


Effect = Append | Quarantine | Send | Reconnect | FetchBooks | RereadMarket | Resync
