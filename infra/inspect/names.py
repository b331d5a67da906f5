"""Names of tokens, markets and wallets, learned from records as they pass. Pure.

Markets are named by MarketMeta (and by the lines of a Summary), wallets by the Policy and a
Follow. What nobody
has named is shown by the beginning of its identifier, which every filter takes as well.
"""

from dataclasses import dataclass, field

from infra.inspect.human import short
from schemas.policy import PolicyDocument
from schemas.records.base import Record
from schemas.records.market import MarketMeta
from schemas.records.operator import Follow
from schemas.records.summary import Summary
from schemas.records.system import Policy

NAMING = frozenset({"MarketMeta", "Policy", "Follow", "Summary"})
"""Kinds that name something."""


@dataclass
class Names:
    """What is known so far. Titles by condition; condition and outcome by token."""

    titles: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    wallets: dict[str, str] = field(default_factory=dict)

    def learn(self, record: Record | None) -> None:
        """Take up what a record says of names; most say nothing."""
        match record:
            case MarketMeta():
                self.titles[record.condition] = record.title
                for outcome in record.outcomes:
                    self.outcomes[outcome.token] = (record.condition, outcome.name)
            case Policy():
                self.learn_policy(record.document)
            case Follow() if record.name:
                self.wallets[record.leader] = record.name
            case Summary():
                for line in record.positions:
                    if line.title:
                        self.titles[line.condition] = line.title
                        self.outcomes[line.token] = (line.condition, line.outcome)
                for followed in record.follows:
                    if followed.terms.name:
                        self.wallets[followed.leader] = followed.terms.name

    def learn_policy(self, policy: PolicyDocument) -> None:
        """Leaders' names, and our own accounts' wallets under the accounts' names."""
        for account in policy.accounts:
            self.wallets[account.wallet] = account.name
            for leader in account.leaders:
                if leader.name:
                    self.wallets[leader.wallet] = leader.name

    def token(self, token: str) -> str:
        """'[71321045 Up · Will Atlético win?]'."""
        condition, outcome = self.outcomes.get(token, ("", ""))
        if not condition:
            return f"[{short(token)}]"
        return f"[{short(token)} {outcome} · {self.titles[condition]}]"

    def outcome(self, token: str) -> str:
        """The outcome alone, for lines that have named the market."""
        _, outcome = self.outcomes.get(token, ("", ""))
        return outcome or short(token)

    def market(self, condition: str) -> str:
        """'[0x5e5e5e5e Will Atlético win?]'."""
        title = self.titles.get(condition, "")
        return f"[{short(condition)} {title}]" if title else f"[{short(condition)}]"

    def wallet(self, wallet: str) -> str:
        """'the quick one (0x1eade71e)'; an account of ours is its own name."""
        name = self.wallets.get(wallet, "")
        return f"{name} ({short(wallet)})" if name else short(wallet)

    def conditions(self, text: str) -> frozenset[str]:
        """Markets that the text means: their condition begins with it, or their title has it."""
        wanted = text.casefold()
        return frozenset(
            condition
            for condition, title in self.titles.items()
            if condition.startswith(wanted) or wanted in title.casefold()
        )
