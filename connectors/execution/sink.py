"""Carries each requested order through its life: plan, act, append, read back, plan again.

All decisions are plan()'s; this file only performs them and writes down what came of them. A record
counts once it has been read back from the tape, so two executors see the same first OrderSigned.
Between plan() saying Post and the POST nothing is awaited. Never two tasks for one intent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from connectors.execution.answers import Verdict, believe, must_stop
from connectors.execution.backend import (
    Backend,
    Refusal,
    Seen,
    Sighting,
    Signed,
    Unclear,
    Unready,
)
from connectors.execution.entries import absent, answer, local_refusal, verdict_of
from connectors.execution.ledger import Life
from connectors.execution.mirror import Mirror
from connectors.execution.plan import (
    Action,
    Cancel,
    DeclareAbsent,
    Done,
    Expire,
    LookUp,
    Moment,
    Post,
    ReadToEnd,
    Rules,
    Sign,
    Wait,
    Witness,
    plan,
)
from schemas.records.base import Record
from schemas.records.journal import OrderRequested
from schemas.records.own import OrderExpired, OrderSigned

log = logging.getLogger("truecopy.execution")

HOLDS: Final = frozenset({"stop_file", "no_tick", "clock_skew"})
HELD_AGAIN_MS: Final = 10_000
"""A hold that was quiet for so long is said again."""

Append = Callable[[Record], Awaitable[int]]
Checkpoint = Callable[[str], Awaitable[None]]
Pause = Callable[[asyncio.Event, float], Awaitable[None]]
Rest = Callable[[], Awaitable[Witness]]
"""What an action is completed by, once the venue has said its part."""


class VenueForbids(RuntimeError):
    """The venue answered 401 or 403: nothing more may be sent until an operator has looked."""


class WrongBackend(RuntimeError):
    """An open order on the tape was signed for another backend than this process runs."""


async def no_checkpoint(point: str) -> None:
    """Where tests stop or kill the process; in production nothing happens there."""


def unheard(_outcome: str, _took_s: float) -> None:
    """Where nobody counts POSTs."""


async def wait_at_most(news: asyncio.Event, timeout_s: float) -> None:
    """Return when the event is set, or after the time-out."""
    try:
        async with asyncio.timeout(timeout_s):
            await news.wait()
    except TimeoutError:
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything the sink cannot know by itself.

    append: writes a record to the tape and returns its acknowledged offset. tape_end: asks the
    broker for the offset after the tape's last record. stopped: whether the
    stop file is there. executor names this process in OrderSigned. pause: how it waits for news.
    checkpoint: see no_checkpoint. posted: hears what each POST proved, and the seconds it took.
    """

    append: Append
    tape_end: Callable[[], Awaitable[int]]
    clock_ns: Callable[[], int]
    stopped: Callable[[], bool]
    executor: str
    pause: Pause = wait_at_most
    checkpoint: Checkpoint = no_checkpoint
    posted: Callable[[str, float], None] = unheard


class Sink:
    """Works on intents over one backend; at most `workers` calls to the venue at a time.

    A slot is held for the call alone: while one intent's record is on its way to the tape and back,
    the next one signs or posts.
    """

    def __init__(
        self, *, backend: Backend, mirror: Mirror, rules: Rules, workers: int, outside: Outside
    ) -> None:
        self._backend = backend
        self._mirror = mirror
        self._rules = rules
        self._outside = outside
        self._slots = asyncio.Semaphore(workers)
        self._held: dict[str, int] = {}
        self._forbidden = False

    def now_ms(self) -> int:
        """Own clock."""
        return self._outside.clock_ns() // 1_000_000

    async def work(self, request: OrderRequested, stop: asyncio.Event) -> bool:
        """Bring one intent to its end; False if stopped or forbidden before. Once per intent."""
        life = self._mirror.ledger.life(request.intent)
        witness = Witness(met_ms=self.now_ms())
        await self._outside.checkpoint("taken")
        while not stop.is_set():
            action = self._next(life, request, witness)
            if isinstance(action, Done):
                return True
            if isinstance(action, Wait):
                await self._wait(action, life)
                continue
            async with self._slots:
                if self._forbidden:
                    return False
                # Waiting for a slot takes time: what was right before may be late now.
                action = self._next(life, request, witness)
                rest = await self._ask(action, life, request, witness)
            witness = await rest()
        return False

    def _next(self, life: Life, request: OrderRequested, witness: Witness) -> Action:
        moment = Moment(
            now_ms=self.now_ms(), tick_ms=self._mirror.tick_ms, stopped=self._outside.stopped()
        )
        return plan(life, request.valid_until_ms, witness, moment, self._rules)

    async def _wait(self, action: Wait, life: Life) -> None:
        self._note(action.reason)
        at_most_ms = max(action.until_ms - self.now_ms(), 1)
        with self._mirror.news_of(life.intent) as news:
            await self._outside.pause(news, at_most_ms / 1000)

    async def _ask(
        self, action: Action, life: Life, request: OrderRequested, witness: Witness
    ) -> Rest:
        """Call the venue if the action does; what is left to do then needs no slot."""
        match action:
            case Sign():
                result = await self._backend.sign(request)
                return partial(self._signed, result, life, request, witness)
            case Post():
                signed = self._own(life)
                sent_ns = self._outside.clock_ns()
                verdict = await self._backend.post(signed)
                self._forbidden |= must_stop(verdict)
                times = (sent_ns, self._outside.clock_ns())
                return partial(self._posted, signed, verdict, times, witness)
            case LookUp():
                signed = self._own(life)
                asked_ns = self._outside.clock_ns()
                sighting = await self._backend.look_up(signed, request)
                times = (asked_ns, self._outside.clock_ns())
                return partial(self._looked_up, signed, sighting, times, life, witness)
            case Cancel():
                witness = await self._cancel(life, witness)
        return partial(self._perform, action, life, request, witness)

    async def _perform(
        self, action: Action, life: Life, request: OrderRequested, witness: Witness
    ) -> Witness:
        match action:
            case ReadToEnd():
                return await self._read_to_end(witness)
            case Expire():
                await self._write(
                    OrderExpired(
                        account=request.account,
                        intent=request.intent,
                        now_ms=action.now_ms,
                        valid_until_ms=request.valid_until_ms,
                    )
                )
            case DeclareAbsent():
                await self._write(absent(life, witness))
        return witness

    async def _signed(
        self,
        result: Signed | Refusal | Unready,
        life: Life,
        request: OrderRequested,
        witness: Witness,
    ) -> Witness:
        if isinstance(result, Unready):
            log.warning("intent=%s state=unready reason=%r", request.intent, result.reason)
            return replace(witness, not_before_ms=self.now_ms() + self._rules.lookup_every_ms)
        if isinstance(result, Refusal):
            await self._write(local_refusal(request, result, self._outside.clock_ns()))
            return witness
        signed = OrderSigned(
            account=request.account,
            intent=request.intent,
            order=result.order,
            backend=self._backend.name,
            token=request.token,
            side=request.side,
            maker_micro=result.maker_micro,
            taker_micro=result.taker_micro,
            payload=result.payload,
            executor=self._outside.executor,
            signed_ns=self._outside.clock_ns(),
        )
        await self._outside.checkpoint("signed")
        # Reading the record back proves the tape read to where it ended after this moment.
        before_ms = self.now_ms()
        offset = await self._write(signed, "appended")
        return replace(witness, mine=life.signed_at == offset, proof_ms=before_ms)

    async def _read_to_end(self, witness: Witness) -> Witness:
        before_ms = self.now_ms()
        end = await self._outside.tape_end()
        await self._mirror.reach(end - 1)
        return replace(witness, proof_ms=before_ms)

    async def _posted(
        self, signed: OrderSigned, verdict: Verdict, times: tuple[int, int], witness: Witness
    ) -> Witness:
        sent_ns, answered_ns = times
        witness = witness.posted(answered_ns // 1_000_000)
        verdict = believe(verdict, only_post=witness.mine and witness.posts == 1)
        self._outside.posted(verdict.outcome, (answered_ns - sent_ns) / 1_000_000_000)
        await self._outside.checkpoint("posted")
        proof: Literal["post", "paper"] = "post" if self._backend.name == "live" else "paper"
        await self._write(answer(signed, verdict, proof, sent_ns, answered_ns), "answered")
        log.info(
            "intent=%s order=%s outcome=%s status=%s reason=%r",
            signed.intent,
            signed.order,
            verdict.outcome,
            verdict.status,
            verdict.reason,
        )
        if must_stop(verdict):
            raise VenueForbids(
                f"the venue answered {verdict.http_status} ({verdict.reason}); check credentials, "
                "wallet and region before starting again"
            )
        return witness

    async def _looked_up(
        self,
        signed: OrderSigned,
        sighting: Sighting,
        times: tuple[int, int],
        life: Life,
        witness: Witness,
    ) -> Witness:
        asked_ns, answered_ns = times
        if isinstance(sighting, Seen):
            verdict = verdict_of(sighting, life)
            if verdict is not None:
                await self._write(answer(signed, verdict, "lookup", asked_ns, answered_ns))
        else:
            said = (life.intent, signed.order, type(sighting).__name__)
            why = sighting.reason if isinstance(sighting, Unclear) else ""
            log.info("intent=%s order=%s state=looked_up found=%s reason=%r", *said, why)
        return witness.looked(answered_ns // 1_000_000, sighting)

    async def _cancel(self, life: Life, witness: Witness) -> Witness:
        signed = self._own(life)
        told = await self._backend.cancel(signed)
        log.warning("intent=%s order=%s state=cancelling told=%r", life.intent, signed.order, told)
        return replace(witness, last_cancel_ms=self.now_ms())

    def _own(self, life: Life) -> OrderSigned:
        signed = life.signed
        assert signed is not None, f"{life.intent}: nothing is signed"
        if signed.backend != self._backend.name:
            raise WrongBackend(
                f"intent {life.intent} was signed for {signed.backend} and has no end; "
                f"run that backend until it has one, then start {self._backend.name}"
            )
        return signed

    async def _write(self, record: Record, point: str = "") -> int:
        """Append, then wait until it has been read back: only then does it count."""
        offset = await self._outside.append(record)
        if point:
            await self._outside.checkpoint(point)
        await self._mirror.reach(offset)
        return offset

    def _note(self, reason: str) -> None:
        """One line when something begins to hold sending, not one a poll."""
        if reason not in HOLDS:
            return
        now_ms = self.now_ms()
        if now_ms - self._held.get(reason, 0) > HELD_AGAIN_MS:
            tick_ms = self._mirror.tick_ms
            log.warning("sending=held reason=%s tick_ms=%s now_ms=%s", reason, tick_ms, now_ms)
        self._held[reason] = now_ms
