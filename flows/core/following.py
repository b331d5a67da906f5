"""How our accounts follow: on which terms, and from which baseline on.

Terms come from the policy and from words (words.py). A baseline is taken at the moment an account
begins to follow somebody; while it goes on following, new terms leave the baseline as it is.
"""

from flows.core.account import AccountState, LeaderView
from flows.core.words import Words, followed
from schemas.policy import PolicyDocument
from schemas.records.base import Account, Wallet
from schemas.records.journal import WordAdopted

Accounts = dict[Account, AccountState]
Leaders = dict[Wallet, LeaderView]


def adopt_policy(accounts: Accounts, policy: PolicyDocument, words: Words) -> None:
    """Caps, ratios and accounts of the newest policy; an account that left it only rests."""
    rested = [name for name, account in accounts.items() if not account.active]
    for account in accounts.values():
        account.active = False
    for terms in policy.accounts:
        name = Account(terms.name)
        known = accounts.setdefault(name, AccountState(terms))
        known.policy, known.active, known.halted = terms, True, None
        known.follow(followed(policy, terms, words))
        if name in rested:
            known.baseline.clear()
        _forget(known)


def adopt_word(
    accounts: Accounts, policy: PolicyDocument, words: Words, event: WordAdopted
) -> None:
    """An account follows somebody, on other terms, or no longer."""
    account, wallet = accounts[event.account or Account("")], Wallet(event.subject)
    account.follow(followed(policy, account.policy, words))
    _forget(account)
    if event.terms is not None and event.terms.start == "converge" and wallet in account.baseline:
        account.baseline[wallet] = {}


def begin(accounts: Accounts, leaders: Leaders, now_ms: int) -> None:
    """An account that begins to follow someone starts from what he holds now, if it so wants."""
    for account in accounts.values():
        for each in account.followed:
            if each.leader in leaders and each.leader not in account.baseline:
                held = leaders[each.leader].exposure
                account.baseline[each.leader] = dict(held) if each.terms.start == "now" else {}
                account.since_ms[each.leader] = now_ms


def begin_anew(accounts: Accounts, wallet: Wallet) -> None:
    """The wallet's record begins now, for whoever follows him."""
    for account in accounts.values():
        account.baseline.pop(wallet, None)


def _forget(account: AccountState) -> None:
    """Whom it does not follow now, it follows from then on if it ever does again."""
    kept = [each.leader for each in account.followed]
    account.baseline = {w: base for w, base in account.baseline.items() if w in kept}
