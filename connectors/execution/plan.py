"""What to do next about one intent: the crash table of the design as a pure function.

Given what the tape says (ledger), what this process itself did and saw since it met the intent
(Witness), and the moment (Moment), there is exactly one next action. Invariants: nothing is signed
twice; only bytes that stand on the tape are posted, and only in time, with a clock that agrees with
the newest Tick, no stop file, and the tape just proven to be read to its end; an order that may
have been sent before is looked up before it is sent again; absence is declared only after
valid_until_ms and look-ups that all said so. A cancel proves nothing and sends nothing new: it
needs no clock, goes out under a stop file too, and look-ups go on until they show the end.
"""

from dataclasses import dataclass, replace
from typing import Final

from connectors.execution.answers import PENDING
from connectors.execution.backend import NotThere, Seen, Sighting
from connectors.execution.ledger import Life

POLL_MS: Final = 20
"""Pause before looking again whether the clock agrees or the stop file is gone."""
PROOF_MAX_MS: Final = 200
"""Age beyond which having read the tape to its end proves nothing: a process that was paused has
slept through what others wrote. Fresh Ticks alone leave half a second in which it could have."""
CANCEL_AFTER_MS: Final = 5_000
"""So long after its time an order that the venue still works on is cancelled, and again at that
pace. A FAK order matches at once or after the market's delay, seconds at most, inside which it
cannot be cancelled (API reference 6.6, 6.8)."""
FORGOTTEN_TIMES: Final = 3
"""An order that the venue called pending must be absent so many times as long as one that it never
spoke of: it had it once, and may show it again (complaints 9 and 10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that bind it."""

    clock_skew_max_ms: int
    lookup_every_ms: int
    absent_after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now: own clock, newest foreign Tick read from the tape (None: none yet), stop file there."""

    now_ms: int
    tick_ms: int | None
    stopped: bool

    @property
    def latest_ms(self) -> int:
        """The later of both clocks: what is late by either is late."""
        return max(self.now_ms, self.tick_ms or 0)

    def blocked(self, rules: Rules) -> str:
        """Why nothing may be sent at this moment, or ''."""
        if self.stopped:
            return "stop_file"
        if self.tick_ms is None:
            return "no_tick"
        if abs(self.now_ms - self.tick_ms) > rules.clock_skew_max_ms:
            return "clock_skew"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What this process did and saw itself; lost with it, which is why it only ever adds caution.

    met_ms: when it took the intent up. not_before_ms: when signing may be tried again after the
    venue could not be asked. proof_ms: the tape was read to where it ended then. mine: the
    OrderSigned that counts was appended by this process. absent_*: the look-ups since the last
    POST that all said 'not there'. working: the newest sighting of it was alive at the venue.
    """

    met_ms: int
    not_before_ms: int = 0
    proof_ms: int = 0
    mine: bool = False
    posts: int = 0
    last_post_ms: int | None = None
    last_lookup_ms: int | None = None
    absent_first_ms: int | None = None
    absent_last_ms: int | None = None
    absent_lookups: int = 0
    working: bool = False
    last_cancel_ms: int | None = None

    def posted(self, now_ms: int) -> "Witness":
        """After a POST: what was absent before proves nothing any more."""
        return replace(
            self,
            posts=self.posts + 1,
            last_post_ms=now_ms,
            absent_first_ms=None,
            absent_last_ms=None,
            absent_lookups=0,
        )

    def looked(self, now_ms: int, sighting: Sighting) -> "Witness":
        """After a look-up; one that says nothing counts for nothing, one that sees resets."""
        seen = replace(self, last_lookup_ms=now_ms)
        if isinstance(sighting, Seen):
            working = sighting.status in PENDING
            seen = replace(seen, absent_first_ms=None, absent_last_ms=None, working=working)
            return replace(seen, absent_lookups=0)
        if not isinstance(sighting, NotThere):
            return seen
        first = now_ms if self.absent_first_ms is None else self.absent_first_ms
        count = self.absent_lookups + 1
        return replace(seen, absent_first_ms=first, absent_last_ms=now_ms, absent_lookups=count)


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Expire:
    """Say that its time was over before anything was signed."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Sign:
    """Build it, sign it, append it."""


@dataclass(frozen=True, slots=True)
class ReadToEnd:
    """Ask where the tape ends, read up to there, and think again."""


@dataclass(frozen=True, slots=True)
class Post:
    """Send the bytes that stand on the tape."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the venue what became of it."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the venue to work on it no longer."""


@dataclass(frozen=True, slots=True)
class DeclareAbsent:
    """Say that it never reached the venue, with the evidence."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at until_ms, or as soon as the tape says something about it."""

    until_ms: int
    reason: str


Action = Done | Expire | Sign | ReadToEnd | Post | LookUp | Cancel | DeclareAbsent | Wait


def plan(life: Life, valid_until_ms: int, witness: Witness, moment: Moment, rules: Rules) -> Action:
    """The one next action."""
    if life.done:
        return Done()
    if life.signed is None:
        return _before_signing(valid_until_ms, witness, moment, rules)
    if life.state == "accepted":
        if not life.fills and _forgotten(witness, valid_until_ms, rules):
            return DeclareAbsent()
        if _overstays(valid_until_ms, witness, moment):
            return Cancel()
        return _look_up(life, witness, moment, rules)
    if moment.latest_ms <= valid_until_ms and _may_post(life, witness):
        return _post(witness, moment, rules)
    if not life.fills and _absence_proven(witness, valid_until_ms, rules):
        return DeclareAbsent()
    return _look_up(life, witness, moment, rules)


def _before_signing(valid_until_ms: int, witness: Witness, moment: Moment, rules: Rules) -> Action:
    if moment.latest_ms > valid_until_ms:
        return Expire(moment.latest_ms)
    if moment.now_ms < witness.not_before_ms:
        return Wait(min(witness.not_before_ms, valid_until_ms + 1), "unready")
    blocked = moment.blocked(rules)
    return Wait(moment.now_ms + POLL_MS, blocked) if blocked else Sign()


def _post(witness: Witness, moment: Moment, rules: Rules) -> Action:
    if blocked := moment.blocked(rules):
        return Wait(moment.now_ms + POLL_MS, blocked)
    return Post() if moment.now_ms - witness.proof_ms <= PROOF_MAX_MS else ReadToEnd()


def _may_post(life: Life, witness: Witness) -> bool:
    """Whether these bytes cannot have been accepted yet, as far as anybody can know.

    Either nobody has sent them (signed by this process, which knows), or a look-up since the last
    POST found nothing. A fill or a 'Duplicated' says that they arrived.
    """
    if life.barred or life.fills:
        return False
    return (witness.mine and witness.posts == 0) or witness.absent_lookups > 0


def _absence_proven(witness: Witness, valid_until_ms: int, rules: Rules) -> bool:
    """Look-ups that span the whole wait: one alone, after an outage, is not ten seconds of them.

    Until valid_until_ms another executor might still post them, so the wait begins there.
    """
    if witness.absent_first_ms is None or witness.absent_last_ms is None:
        return False
    since = max(witness.absent_first_ms, valid_until_ms)
    return witness.absent_last_ms - since >= rules.absent_after_ms


def _forgotten(witness: Witness, valid_until_ms: int, rules: Rules) -> bool:
    """Whether the venue has not known for long what it called pending; any sighting begins anew."""
    if witness.absent_first_ms is None or witness.absent_last_ms is None:
        return False
    since = max(witness.absent_first_ms, valid_until_ms)
    return witness.absent_last_ms - since >= FORGOTTEN_TIMES * rules.absent_after_ms


def _overstays(valid_until_ms: int, witness: Witness, moment: Moment) -> bool:
    """Whether the venue works on it long after its time, and was not just asked to end that."""
    since_ms = max(valid_until_ms, witness.last_cancel_ms or 0)
    return witness.working and moment.now_ms - since_ms > CANCEL_AFTER_MS


def _look_up(life: Life, witness: Witness, moment: Moment, rules: Rules) -> Action:
    due_ms = _last_step_ms(life, witness) + rules.lookup_every_ms
    return LookUp() if moment.now_ms >= due_ms else Wait(due_ms, "lookup")


def _last_step_ms(life: Life, witness: Witness) -> int:
    """When anything was last sent or asked; an order found signed counts from its signing.

    So a second executor leaves the signer time to send it, and a restart after a longer pause
    looks at once.
    """
    steps = [ms for ms in (witness.last_post_ms, witness.last_lookup_ms) if ms is not None]
    if steps or life.signed is None:
        return max(steps, default=witness.met_ms)
    return min(life.signed.signed_ns // 1_000_000, witness.met_ms)
