"""Operator's words: whom an account follows beside its policy, and what is halted.

The newest word about an account and a leader wins over the policy until the next word; a policy
that comes later does not take it back, so a wallet that was unfollowed is not followed again by a
deployment. A halt stands until its subject is resumed. A word that cannot be obeyed is an event
with a reason; it is never guessed at and changes nothing. The account of a word must stand in the
policy in force; one that leaves the policy later keeps its words for its return.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from schemas.policy import AccountPolicy, PolicyDocument, is_wallet
from schemas.records.base import Account, Record, Wallet
from schemas.records.journal import WordAdopted, WordRefused
from schemas.records.operator import Follow, FollowTerms, Halt, Resume, Scope, Unfollow
from schemas.units import MICRO

Name = Literal["Follow", "Unfollow", "Halt", "Resume"]
Word = Follow | Unfollow | Halt | Resume
TOKEN_DIGITS_MAX = 78
"""A token is an unsigned 256-bit number."""


@dataclass(frozen=True, slots=True)
class Said:
    """The newest word about an account and a leader; terms None: not followed."""

    offset: int
    terms: FollowTerms | None


@dataclass(frozen=True, slots=True)
class Followed:
    """One leader of an account, on which terms, and by which word (None: by the policy)."""

    leader: Wallet
    terms: FollowTerms
    word_offset: int | None


@dataclass(slots=True)
class Words:
    """Words in force, each with its tape offset. A halt's account None is for every account."""

    said: dict[tuple[Account, Wallet], Said] = field(default_factory=dict)
    halts: dict[tuple[Scope, str, Account | None], int] = field(default_factory=dict)

    def halted(self, scope: Scope, subject: str, account: Account) -> int | None:
        """Offset of the word that halts this subject for the account, None if none does."""
        everywhere = self.halts.get((scope, subject, None))
        return everywhere if everywhere is not None else self.halts.get((scope, subject, account))


def followed(policy: PolicyDocument, account: AccountPolicy, words: Words) -> tuple[Followed, ...]:
    """Whom an account follows: the policy's leaders in its order, then those of words.

    A wallet that became one of our own by a later policy is left out, whatever a word said.
    """
    name, own = Account(account.name), [each.wallet for each in policy.accounts]
    found = {
        Wallet(each.wallet): Followed(
            Wallet(each.wallet),
            FollowTerms(
                name=each.name,
                ratio_micro=account.ratio_micro,
                weight_micro=each.weight_micro,
                cap_usd_micro=each.cap_usd_micro,
                start=each.start,
                pairs=each.pairs,
            ),
            None,
        )
        for each in account.leaders
    }
    for (owner, leader), said in words.said.items():
        if owner != name:
            continue
        if said.terms is None or leader in own:
            found.pop(leader, None)
        else:
            found[leader] = Followed(leader, said.terms, said.offset)
    return tuple(found.values())


def decide(words: Words, policy: PolicyDocument, offset: int, record: Word) -> Iterator[Record]:
    """Obey a word, or say why not."""
    why = refusal(words, policy, record)
    scope, subject, account = _about(record)
    if why is not None:
        yield WordRefused(
            word=_name(record),
            word_offset=offset,
            scope=scope,
            subject=subject,
            account=account,
            why=why,
            reason=record.reason,
        )
        return
    yield WordAdopted(
        word=_name(record),
        word_offset=offset,
        scope=scope,
        subject=subject,
        account=account,
        terms=_terms(record) if isinstance(record, Follow) else None,
        reason=record.reason,
    )


def evolve(words: Words, event: WordAdopted) -> None:
    """The word is in force."""
    match event.word:
        case "Follow" | "Unfollow":
            assert event.account is not None, "a word about following names its account"
            place = (event.account, Wallet(event.subject))
            words.said[place] = Said(event.word_offset, event.terms)
        case "Halt":
            words.halts[(event.scope, event.subject, event.account)] = event.word_offset
        case "Resume":
            for key in [k for k in words.halts if k[:2] == (event.scope, event.subject)]:
                del words.halts[key]


def refusal(words: Words, policy: PolicyDocument, word: Word) -> str | None:
    """Why a word cannot be obeyed under this policy, None if it can."""
    match word:
        case Follow():
            return (
                _unknown(policy, word.account)
                or _no_wallet(word.leader)
                or ("own_wallet" if word.leader in _own(policy) else None)
                or ("ratio_not_above_zero" if word.ratio_micro <= 0 else None)
                or ("cap_negative" if word.cap_usd_micro < 0 else None)
            )
        case Unfollow():
            return _unknown(policy, word.account) or _no_wallet(word.leader)
        case Halt():
            return (
                None if word.account is None else _unknown(policy, word.account)
            ) or _no_subject(policy, word)
        case Resume():
            known = any(key[:2] == (word.scope, word.subject) for key in words.halts)
            return None if known else "not_halted"


def _own(policy: PolicyDocument) -> list[str]:
    return [account.wallet for account in policy.accounts]


def _unknown(policy: PolicyDocument, account: str) -> str | None:
    known = any(each.name == account for each in policy.accounts)
    return None if known else "unknown_account"


def _no_wallet(text: str) -> str | None:
    return None if is_wallet(text) else "no_wallet"


def _no_subject(policy: PolicyDocument, word: Halt) -> str | None:
    match word.scope:
        case "account" if word.account not in (None, word.subject):
            return "two_accounts"
        case "account":
            return _unknown(policy, word.subject)
        case "leader":
            return _no_wallet(word.subject)
        case "token":
            return None if is_token(word.subject) else "no_token"


def is_token(text: str) -> bool:
    """Whether the text is a token as records carry it: a decimal number."""
    return text.isascii() and text.isdigit() and len(text) <= TOKEN_DIGITS_MAX


def _name(word: Word) -> Name:
    match word:
        case Follow():
            return "Follow"
        case Unfollow():
            return "Unfollow"
        case Halt():
            return "Halt"
        case Resume():
            return "Resume"


def _about(word: Word) -> tuple[Scope, str, Account | None]:
    match word:
        case Follow() | Unfollow():
            return "leader", word.leader, word.account
        case Halt():
            # A halt of an account names it once: the key under which a resume finds it.
            return word.scope, word.subject, None if word.scope == "account" else word.account
        case Resume():
            return word.scope, word.subject, None


def _terms(word: Follow) -> FollowTerms:
    return FollowTerms(
        name=word.name,
        ratio_micro=word.ratio_micro,
        weight_micro=MICRO,
        cap_usd_micro=word.cap_usd_micro,
        start=word.start,
        pairs=word.pairs,
    )
