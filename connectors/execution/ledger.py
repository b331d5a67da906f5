"""What the tape says about each intent: a pure fold of the records that execution appends.

The first OrderSigned of an intent counts, whoever wrote it; later ones are void. An answer about
any other order than that one is void too. Steps are those of schemas.order_life; a step the table
does not have changes nothing and is counted. Never looks at a clock.
"""

from dataclasses import dataclass, field

from connectors.execution.answers import BARRED
from schemas.order_life import ENDED, TRANSITIONS, Happening, State, complete
from schemas.records.base import Intent, OrderHash, Record
from schemas.records.own import OrderAbsent, OrderAnswered, OrderExpired, OrderSigned, OwnFill

KINDS = frozenset({"OrderSigned", "OrderAnswered", "OrderExpired", "OrderAbsent", "OwnFill"})


@dataclass(slots=True)
class Life:
    """One intent as the tape has it. shares_micro, usd_micro: None until the venue's are final."""

    intent: Intent
    state: State = "requested"
    signed: OrderSigned | None = None
    signed_at: int = -1
    shares_micro: int | None = None
    usd_micro: int | None = None
    last_sent_ms: int | None = None
    barred: str = ""
    fills: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether execution has nothing left to do: ended, or accepted with final amounts."""
        return self.state in ENDED or self.shares_micro is not None


def cause_of(intent: Intent) -> int:
    """Tape offset of the record that led to an intent: no record of it stands before that."""
    return int(intent.rsplit(":", 2)[1])


class Ledger:
    """All intents that may still matter, folded record by record."""

    def __init__(self) -> None:
        self.lives: dict[Intent, Life] = {}
        self.void = 0
        self._intents: dict[OrderHash, Intent] = {}

    def life(self, intent: Intent) -> Life:
        """The intent's state; an intent the tape does not know is 'requested'."""
        return self.lives.setdefault(intent, Life(intent))

    def fold(self, offset: int, record: Record) -> Intent | None:
        """Take one tape record in; returns the intent it was about, if any."""
        match record:
            case OrderSigned():
                self._signed(offset, record)
            case OrderAnswered():
                self._answered(record)
            case OrderExpired():
                self._step(self.life(record.intent), "expired")
            case OrderAbsent():
                self._absent(self.life(record.intent))
            case OwnFill():
                return self._filled(record)
            case _:
                return None
        return record.intent

    def forget_before(self, cause: int) -> None:
        """Drop what no order from this cause on can be about."""
        for intent in [i for i, life in self.lives.items() if life.done and cause_of(i) < cause]:
            signed = self.lives.pop(intent).signed
            if signed is not None:
                self._intents.pop(signed.order, None)

    def _signed(self, offset: int, record: OrderSigned) -> None:
        life = self.life(record.intent)
        if life.signed is None and self._step(life, "signed"):
            life.signed, life.signed_at = record, offset
            self._intents[record.order] = record.intent

    def _answered(self, record: OrderAnswered) -> None:
        life = self.life(record.intent)
        if life.signed is None:
            if record.outcome == "refused" and record.proof == "local":
                self._step(life, "refused")
            else:
                self.void += 1
            return
        if record.order != life.signed.order or not self._step(life, record.outcome):
            self.void += record.order != life.signed.order
            return
        if record.proof != "lookup":
            life.last_sent_ms = max(life.last_sent_ms or 0, record.sent_ns // 1_000_000)
        if record.status in BARRED:
            life.barred = record.status
        if record.outcome == "accepted" and record.shares_micro is not None:
            life.shares_micro, life.usd_micro = record.shares_micro, record.usd_micro
        self._settle(life)

    def _absent(self, life: Life) -> None:
        """What the venue filled, or stated amounts of, cannot be absent."""
        if life.fills or life.shares_micro is not None:
            self.void += life.state not in ENDED
            return
        self._step(life, "absent")

    def _filled(self, record: OwnFill) -> Intent | None:
        intent = self._intents.get(record.order)
        if intent is None:
            return None
        life = self.lives[intent]
        life.fills.setdefault(record.trade, record.shares_micro)
        self._settle(life)
        return intent

    def _settle(self, life: Life) -> None:
        accepted = life.shares_micro
        if accepted is None:
            return
        if complete(accepted, sum(life.fills.values()), len(life.fills)):
            self._step(life, "filled")

    def _step(self, life: Life, happening: Happening) -> bool:
        following = TRANSITIONS.get((life.state, happening))
        if following is None:
            self.void += life.state not in ENDED
            return False
        life.state = following
        return True
