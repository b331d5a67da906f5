"""Ours or foreign: how many shares of a position our own orders bought.

Shares are alike, so which ones are ours is a rule. Foreign are those that no order of ours bought:
what an account held at its opening, what somebody bought by hand, what else reports find. (A new
tape knows nothing of what an older one bought: there all of it is foreign.) A policy that keeps
foreign shares sells only ours. The rule, by what happens to a position:

- a fill of our order moves ours; a fill of any other order, and an opening, moves the rest;
- what a wallet loses otherwise (a sale by hand, a drift downwards) was foreign as long as there
  was any; ours is never more than is held, and what was sold of ours by hand does not come back;
- a drift is ours as far as orders of ours may explain it: one that is in flight and whose fill no
  feed told (`missed`); a buy that no settlement confirmed, for a drift downwards. When such a fill
  is told after all it is not counted twice, and the drift that then follows takes nothing from
  ours (`doubled`). If the order ends without it, it was none of its.

In doubt shares are foreign: then a share of ours may be kept that should go, and a person sees it
in the Summary. The other doubt would sell what is not ours. As a second lock no more is sold than
confirmed fills of our orders bought (`sellable`), whatever was counted above.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Owned:
    """What our orders have of one position; below 0 when a sell became known before its buy."""

    ours_micro: int = 0
    confirmed_micro: int = 0
    missed_micro: int = 0
    doubled_micro: int = 0
    regained_micro: int = 0
    lost_micro: int = 0

    @property
    def sellable_micro(self) -> int:
        """The most that our orders may sell: confirmed buys of theirs less their sells."""
        return max(self.confirmed_micro + self.missed_micro, 0)

    def of(self, held_micro: int) -> int:
        """Our shares among those that are held."""
        return max(min(self.ours_micro, held_micro), 0)

    def traded(self, signed_micro: int, held_micro: int) -> None:
        """A fill of our order was booked, + bought or - sold; held is the position after it."""
        told = _overlap(self.missed_micro, signed_micro)
        self.missed_micro -= told
        self.doubled_micro += told
        self.ours_micro += signed_micro - told
        self.confirmed_micro += min(signed_micro, 0)
        self.bound(held_micro)

    def settled(self, signed_micro: int, confirmed: bool, held_micro: int) -> None:
        """A booked fill of ours was confirmed, or failed and is gone."""
        if confirmed:
            self.confirmed_micro += max(signed_micro, 0)
            return
        self.ours_micro -= signed_micro
        self.confirmed_micro -= min(signed_micro, 0)
        self.bound(held_micro)

    def corrected(
        self, shares_micro: int, coming_micro: int, unconfirmed_micro: int, held_micro: int
    ) -> None:
        """Reports proved a drift. coming: what our orders may still bring in its direction;
        unconfirmed: what of our buys no settlement has confirmed."""
        back = _overlap(-self.doubled_micro, shares_micro)
        self.doubled_micro += back
        left = shares_micro - back
        # Below 0 one of our fills was taken out twice, or sold before its buy was told.
        mine = min(max(left, 0), max(-self.ours_micro, 0))
        # Fills of ours that ended both ways: what reports say of them is a settlement late.
        doubted = _overlap(self.regained_micro, left - mine) + _overlap(-self.lost_micro, left)
        self.regained_micro -= max(doubted, 0)
        self.lost_micro += min(doubted, 0)
        self.confirmed_micro += doubted
        mine += doubted
        still_coming = coming_micro - _overlap(coming_micro, self.missed_micro)
        missed = _overlap(still_coming, left - mine)
        self.missed_micro += missed
        gone = _overlap(-unconfirmed_micro, left - mine - missed)
        self.ours_micro += mine + missed + gone
        self.bound(held_micro)

    def explained(self, shares_micro: int) -> None:
        """A part of a drift is taken back, since a fill told late was its reason.

        What a fill of ours had brought twice goes; the rest was foreign from the first.
        """
        self.doubled_micro += _overlap(-self.doubled_micro, shares_micro)

    def contradicted(self, signed_micro: int) -> None:
        """A second end of a fill of ours would move what is held by so much."""
        self.regained_micro += max(signed_micro, 0)
        self.lost_micro += max(-signed_micro, 0)

    def certain(self) -> None:
        """Reports rule the second ends out."""
        self.regained_micro = self.lost_micro = 0

    def concluded(self, held_micro: int) -> None:
        """No order of ours is in flight any more: what was missed was none of theirs."""
        self.ours_micro -= self.missed_micro
        self.missed_micro = 0
        self.bound(held_micro)

    def bound(self, held_micro: int) -> None:
        """What is no longer held was not kept for us; a sale counted twice is held all the same."""
        really = held_micro - min(self.doubled_micro, 0)
        self.ours_micro = min(self.ours_micro, max(really, 0))


def _overlap(a: int, b: int) -> int:
    """The part of b that goes the way of a, and no further."""
    if a > 0 and b > 0:
        return min(a, b)
    return max(a, b) if a < 0 and b < 0 else 0
