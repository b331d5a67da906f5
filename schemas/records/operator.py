"""Operator's words: what a person told the running system, as records on the tape.

They are obeyed in tape order like everything else, without a restart. A word about an account and
a leader wins over the policy file until the next word about them; a newer policy does not take it
back. What each led to stands in the journal as WordAdopted or WordRefused.
"""

from typing import Literal

from schemas.records.base import Account, Part, Record, Wallet

Scope = Literal["account", "leader", "token"]


class Follow(Record, frozen=True):
    """An account follows a wallet from here on, on these terms.

    ratio_micro: our shares per share of the leader's, in place of the policy's account ratio times
    leader weight, so that the target is ratio x copyable exposure, rounded down. cap_usd: most that
    is invested on his behalf. start 'now': what he holds is a baseline and is not copied;
    'converge': his whole holding is the target. Said of a leader who is followed already, it
    changes the terms: 'now' leaves the baseline as it is, 'converge' drops it.
    """

    account: Account
    leader: Wallet
    name: str
    ratio_micro: int
    cap_usd_micro: int
    start: Literal["now", "converge"]
    pairs: Literal["cash", "copy"]
    reason: str


class Unfollow(Record, frozen=True):
    """An account follows a wallet no longer: what was bought on its behalf is sold."""

    account: Account
    leader: Wallet
    reason: str


class Halt(Record, frozen=True):
    """No order, up or down, for an account, a token, or whatever a leader has an exposure in.

    subject: the account's name, the leader's wallet or the token. account: the only account that
    a halt of a leader or token is for, None for all. Levels go on being folded meanwhile. An order
    already asked for may still go until its valid_until_ms; the stop file stops that too.
    """

    scope: Scope
    subject: str
    account: Account | None
    reason: str


class Resume(Record, frozen=True):
    """Every halt of this subject is over, whichever account it was for; gaps close again."""

    scope: Scope
    subject: str
    reason: str


class FollowTerms(Part, frozen=True):
    """On what terms an account follows a leader: target = exposure x ratio x weight."""

    name: str
    ratio_micro: int
    weight_micro: int
    cap_usd_micro: int
    start: Literal["now", "converge"]
    pairs: Literal["cash", "copy"]
