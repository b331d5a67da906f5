"""The invariants, each with a name, checked after every record of every topic.

Beside the processes an undisturbed fold follows the tape: what the killed and resumed dataflow
wrote must be its bytes. What it believes is compared with sums of our own (facts.py) and with what
really happened at the venue. Liveness, at the end, is in verdict.py.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flows.core import fold
from flows.core.account import shares_of
from flows.core.sizing import band
from schemas import codec
from schemas.records import journal, market, own
from schemas.records.base import Record
from tests.sim import caps, verdict
from tests.sim.broken import Broken
from tests.sim.broker_model import Stored
from tests.sim.facts import PROOFS, BookFacts, OwnFacts

if TYPE_CHECKING:
    from tests.sim.world import World

MIN_UNKNOWN = 5_000_000
SKEW_MS = 1_100
"""Clocks may be off by 500 ms without being noticed, twice; the way takes the rest."""
SEEN_FOR_MS = 9_000
"""A book that the venue had so long ago may still be on its way through frozen sockets."""


class Judge:
    """Looks at everything; raises Broken with the invariant's name."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.state = fold.FoldState()
        self.own, self.books = OwnFacts(), BookFacts()
        self.reference: dict[str, list[bytes]] = {"journal": [], "orders": [], "watch": []}
        self.due: dict[str, int] = dict.fromkeys(self.reference, 0)
        self.counts: dict[str, int] = defaultdict(int)
        self.touches: dict[str, list[tuple[int, tuple[int | None, int | None]]]] = defaultdict(list)
        self.denied: dict[str, str] = {}
        self.found: Broken | None = None
        self.steps = 0
        world.broker.topic("tape").watchers.append(self._on_tape)
        for name in self.reference:
            world.broker.topic(name).watchers.append(self._on_output(name))
        world.arrivals.on_sent = self.sent
        world.arrivals.on_arrival = self._on_arrival

    def broken(self, name: str, detail: str) -> Broken:
        """To be raised; kept besides, since what it is raised through may end by it later."""
        broken = self.late(name, detail)
        self.found = self.found or broken
        return broken

    def late(self, name: str, detail: str) -> Broken:
        """The same for what may still come right."""
        return Broken(name, detail, step=self.steps, at_ms=self.world.trouble_ms())

    # The fold, undisturbed

    def _on_tape(self, offset: int, stored: Stored) -> None:
        self.steps += 1
        record = codec.decode(stored.value)
        self.books.take(offset, record)
        self.own.take(record, self.books.schedules)
        entry = fold.join_and_size(
            self.state.plan, fold.window(self.state.leaders, fold.Entry(offset, record))
        )
        for event in entry.events:
            self.counts[type(event).__name__] += 1
            self._event(offset, event)
        for sealed in fold.seal(self.state.seal, entry):
            self.reference[sealed.topic].append(sealed.value)
        self._record(record)
        if entry.events or isinstance(record, own.OwnFill):
            self._positions()
            self._gaps()

    def _on_output(self, name: str) -> Callable[[int, Stored], None]:
        def on_output(offset: int, stored: Stored) -> None:
            number = int(dict(stored.headers)["n"])
            due, reference = self.due[name], self.reference[name]
            if number < due and not self.world.had_zombie:
                raise self.broken("nothing_is_written_twice", f"{name} number {number}")
            if number > due and name != "watch":
                raise self.broken("numbers_have_no_holes", f"{name} {number} where {due} was due")
            self.due[name] = max(due, number + 1)
            if number >= len(reference) or reference[number] != stored.value:
                raise self.broken(
                    "what_was_written_is_the_fold_of_the_tape", f"{name} number {number} differs"
                )

        return on_output

    # One event, one record

    def _event(self, offset: int, event: Any) -> None:
        if isinstance(event, journal.OrderRequested):
            self._requested(offset, event)
        if isinstance(event, journal.OrderProgress):
            self._ended(event)
        if isinstance(event, journal.PositionCorrected):
            needed = 1 if event.opening else 3
            if len(event.reports) < needed:
                raise self.broken("corrections_carry_evidence", repr(event))
        self.own.decided(event)

    def _record(self, record: Record) -> None:
        match record:
            case own.OrderAbsent():
                self.denied[record.order] = "absent"
            case own.OrderAnswered(outcome="refused") if record.order:
                self.denied[record.order] = "refused"
            case market.Depth():
                self._depth(record)
            case _:
                return

    def _ended(self, event: journal.OrderProgress) -> None:
        proof = PROOFS.get(event.state)
        if proof is not None and proof not in self.own.proofs[event.intent]:
            raise self.broken("no_end_without_proof", f"{event.intent} {event.state}")

    def _requested(self, offset: int, order: journal.OrderRequested) -> None:
        """An order at its decision."""
        token, ours = order.token, self.own
        if ours.open_orders(token):
            raise self.broken("one_working_order_a_token", order.intent)
        if order.position_micro != ours.position(token):
            raise self.broken("orders_start_from_the_sum_of_fills", order.intent)
        live, newest = self.books.live.get(token), self.books.depths.get(token)
        if live != order.epoch or newest is None or newest[0] != order.depth_offset:
            raise self.broken(
                "no_order_on_an_old_book", f"{order.intent}: {order.epoch}, live is {live}"
            )
        self._fresh(order)
        slip = abs(order.limit_micro - order.touch_micro)
        if slip > self.world.settings.policy.slippage_micro + order.tick_micro:
            raise self.broken("limits_within_the_slippage", f"{order.intent}: {slip}")
        if order.side == "SELL":
            if order.shares_micro > ours.proven(token):
                raise self.broken("sells_only_what_is_confirmed", order.intent)
            return
        ours_now = order.position_micro - order.kept_micro
        after = ours_now + order.in_flight_micro + order.shares_micro
        if after > order.target_micro:
            raise self.broken("no_buy_beyond_the_target", order.intent)
        passed = caps.passed(self, order)
        if passed is not None:
            raise self.broken("caps_hold", f"{order.intent}: {passed}")

    def _fresh(self, order: journal.OrderRequested) -> None:
        policy, ticks = self.world.settings.policy, self.books.ticks
        now_ms = max(tick.now_ms for tick in ticks.values())
        feed = ticks["public"].feeds["market"]
        stale = now_ms - feed.last_data_ms > policy.market_feed_max_age_ms
        silent = now_ms - ticks["public"].now_ms > policy.producer_silence_ms
        if feed.state != "up" or stale or silent:
            raise self.broken("no_order_on_a_stale_feed", f"{order.intent}: {feed}")

    def _depth(self, depth: market.Depth) -> None:
        """Quotes that the venue never had in the last seconds are nobody's book."""
        if depth.epoch != self.books.live.get(depth.token):
            return
        bids, asks = codec.decode_levels(depth.bids), codec.decode_levels(depth.asks)
        if self.books.ticks_of.setdefault(depth.epoch, depth.tick_micro) != depth.tick_micro:
            raise self.broken("an_epoch_has_one_tick", depth.epoch)
        touch = (bids[0][0] if bids else None, asks[0][0] if asks else None)
        since_ms = self.world.loop.now_ms() - SEEN_FOR_MS
        seen = self.touches[depth.token]
        while len(seen) > 1 and seen[1][0] < since_ms:
            seen.pop(0)
        if touch not in [each for _, each in seen]:
            raise self.broken("books_are_the_venues", f"{depth.token[-6:]} {touch}, had {seen}")

    # What must hold at any time

    def _positions(self) -> None:
        for name, account in self.state.plan.accounts.items():
            tokens = {
                **dict.fromkeys(account.positions),
                **{t: None for t, _, _ in self.own.told.values()},
            }
            for token in tokens:
                if account.held_micro(token) != self.own.position(token):
                    raise self.broken(
                        "positions_are_the_sum_of_fills",
                        f"{name} {token[-6:]}: {account.held_micro(token)} held,"
                        f" {self.own.position(token)} told",
                    )

    def _gaps(self) -> None:
        """Every gap that is not below the band leads to a working order or a named hold."""
        plan = self.state.plan
        for name, account in plan.accounts.items():
            tokens = dict.fromkeys(account.positions)
            for view in plan.leaders.values():
                tokens.update(dict.fromkeys(view.exposure))
            for token in tokens:
                known = plan.markets.of(token)
                if not account.active or (known is not None and known.payouts is not None):
                    continue
                wanted = sum(
                    share.shares_micro
                    for share in shares_of(account, plan.leaders, plan.markets, token)
                )
                ours = account.held_micro(token) - account.kept_micro(token)
                gap = wanted - ours - account.in_flight_micro(token)
                least = known.meta.min_shares_micro if known is not None else MIN_UNKNOWN
                due = abs(gap) >= band(wanted, plan.policy.band_micro, least)
                answered = token in account.working or token in account.holds
                if gap and (due or not wanted) and not answered:
                    raise self.broken("every_gap_is_answered", f"{name} {token[-6:]} {gap}")

    # At the venue

    def _on_arrival(self, signed: own.OrderSigned) -> None:
        """An order has reached the venue."""
        if len(self.world.arrivals.hashes[signed.intent]) > 1:
            raise self.broken("one_posted_order_per_intent", signed.intent)
        stated = [o for o, i in self.own.signed.items() if i == signed.intent]
        if stated[:1] != [signed.order]:
            raise self.broken("only_the_first_signed_order_is_sent", signed.intent)

    def sent(self, signed: own.OrderSigned) -> None:
        """An order leaves execution."""
        late_ms = self.world.loop.now_ms() - self.own.requests[signed.intent].valid_until_ms
        if late_ms > SKEW_MS:
            raise self.broken("nothing_is_sent_late", f"{signed.intent}: {late_ms} ms late")

    def look(self) -> None:
        """Every few moments: the venue's own view."""
        for order_id, order in self.world.town.own_orders.items():
            signed = self.world.arrivals.requests[order_id]
            request = self.own.requests[signed.intent]
            spent, got = order.matched_usd_micro, order.matched_shares_micro
            if request.side == "BUY" and spent > request.budget_micro:
                raise self.broken("spend_within_budget", signed.intent)
            if request.side == "SELL" and got > request.shares_micro:
                raise self.broken("spend_within_budget", signed.intent)
            ended = self.own.states[signed.intent] in ("absent", "refused")
            if order.trade_ids and ended and order_id in self.denied:
                detail = f"{signed.intent} {self.denied[order_id]}, and the venue filled it"
                raise self.broken("no_end_without_proof", detail)

    def market_moved(self, condition: str) -> None:
        """The venue has told something about a market: its quotes as they are now."""
        known = self.world.town.venue.floor.by_condition.get(condition)
        if known is None:
            return
        for token in (0, 1):
            now = known.book.best_bid(token), known.book.best_ask(token)
            seen = self.touches[known.tokens[token]]
            if not seen or seen[-1][1] != now:
                seen.append((self.world.loop.now_ms(), now))

    def all_is_well(self, *, final: bool) -> bool:
        """Whether everything has come right; the final answer is Broken if not."""
        try:
            verdict.settle(self)
        except Broken:
            if final:
                raise
            return False
        return True
