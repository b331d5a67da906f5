"""What all records share: frozen, keyword-built, tagged with `kind`, versioned with `v`.

`v` rises when a field's meaning changes or a field goes; an added optional field leaves it.
Identifiers are log positions or content hashes, never clocks or random numbers.
"""

import hashlib
from typing import Literal, NewType

import msgspec

Token = NewType("Token", str)
"""Outcome token (CTF or V2 position) as the venue's decimal string; never a JSON number."""
Condition = NewType("Condition", str)
"""Market id: 0x and 64 hex digits (62-digit V2 ids are padded at the rim, API reference 4.2)."""
Wallet = NewType("Wallet", str)
"""0x and 40 lower-case hex digits."""
Account = NewType("Account", str)
"""Name of one of our own accounts, as the policy gives it."""
Intent = NewType("Intent", str)
"""Id of one order we may send: '<account>:<tape offset of the cause>:<number within it>'."""
OrderHash = NewType("OrderHash", str)
"""EIP-712 hash of the signed order; the venue's order id is the same value (API reference 6.2)."""
Group = NewType("Group", str)
"""Content hash of a fill group, see group_id."""

Side = Literal["BUY", "SELL"]


class Record(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=lambda name: name, gc=False
):
    """Base of all records; `kind` is the class name."""

    v: int = 1


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of the structs inside records; they have no kind of their own."""


def group_id(*, tx: str, wallet: str, token: str, side: str) -> Group:
    """Key of a fill group: what one wallet did with one token in one transaction on one side.

    Price is never part of it (rows carry size-weighted doubles), nor is time (the feed stamps a
    second less than the Data API, API reference 17).
    """
    text = f"{tx.lower()}|{wallet.lower()}|{token}|{side}"
    return Group(hashlib.sha256(text.encode()).hexdigest()[:16])
