"""Which records a tail shows: by kind, account, leader, token and market. Pure.

A record matches if it mentions what is asked for, in whatever field: its own, or one of a row
inside it. The kind is the record's own, whatever its header says. What could not be decoded is
shown in any case by whoever uses this, since nobody can tell what it mentions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from infra.inspect.names import Names
from schemas.policy import AccountPolicy
from schemas.records.base import Record

ACCOUNT_FIELDS = frozenset({"account", "accounts", "subject"})
LEADER_FIELDS = frozenset({"leader", "leaders", "wallet", "subject"})
TOKEN_FIELDS = frozenset({"token", "subject", "delta_micro", "payouts"})
MARKET_FIELDS = frozenset({"condition"})


@dataclass
class Mentions:
    """Identifiers of a record by the name of the field they stand in."""

    found: dict[str, set[str]] = field(default_factory=dict)

    def of(self, fields: frozenset[str]) -> set[str]:
        """All that stand in fields of these names."""
        return {text for name in fields for text in self.found.get(name, ())}


def mentions(record: Record) -> Mentions:
    """Every text of a record, its parts included; keys of a mapping count as the field's."""
    result = Mentions()
    for name, text in _texts("", record):
        result.found.setdefault(name, set()).add(text)
    return result


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, msgspec.Struct):
        for inner in value.__struct_fields__:
            yield from _texts(inner, getattr(value, inner))
        if isinstance(value, AccountPolicy):
            yield "account", value.name
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(name, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield name, str(key)
            yield from _texts(name, item)


@dataclass(frozen=True)
class Filter:
    """What is asked for; empty asks for everything. Identifiers match by their beginning.

    leader also takes the name that the policy gives; market a part of the title.
    """

    kinds: frozenset[str] = frozenset()
    account: str = ""
    leader: str = ""
    token: str = ""
    market: str = ""

    def admits(self, record: Record, names: Names) -> bool:
        """Whether the record mentions all that is asked for."""
        if self.kinds and type(record).__name__ not in self.kinds:
            return False
        if not (self.account or self.leader or self.token or self.market):
            return True
        said = mentions(record)
        return (
            (not self.account or self.account in said.of(ACCOUNT_FIELDS))
            and (not self.leader or self._leader(said.of(LEADER_FIELDS), names))
            and (not self.token or _begins(said.of(TOKEN_FIELDS), self.token))
            and (not self.market or self._market(said, names))
        )

    def _leader(self, wallets: set[str], names: Names) -> bool:
        if _begins(wallets, self.leader.lower()):
            return True
        wanted = self.leader.casefold()
        return any(names.wallets.get(wallet, "").casefold() == wanted for wallet in wallets)

    def _market(self, said: Mentions, names: Names) -> bool:
        wanted = names.conditions(self.market)
        conditions = said.of(MARKET_FIELDS)
        if _begins(conditions, self.market.lower()) or conditions & wanted:
            return True
        tokens = said.of(TOKEN_FIELDS)
        return any(names.outcomes.get(token, ("", ""))[0] in wanted for token in tokens)

    def admits_raw(self, data: bytes) -> bool:
        """Whether bytes that are no record have all that is asked for somewhere in them."""
        asked = (self.account, self.leader, self.token, self.market)
        found = data.lower()
        return not self.kinds and all(text.lower().encode() in found for text in asked)


def _begins(texts: set[str], beginning: str) -> bool:
    return any(text.startswith(beginning) for text in texts)
