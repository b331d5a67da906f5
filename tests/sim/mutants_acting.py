"""Planted bugs in what is done: orders, fills of ours, decisions and their record."""

from typing import Any

from connectors.account import trades as own_trades
from connectors.execution import ledger as execution_ledger
from connectors.execution import plan as execution_plan
from connectors.execution import sink as execution_sink
from flows import copytrade
from flows.core import (
    account,
    booking,
    market,
    ordering,
    orders,
    planning,
    positions,
    progress,
    sizing,
)
from flows.engine import sink as numbered
from infra.proof import rebuild
from schemas.records import market as market_records
from tests.sim.mutants import Patch, mutant

# Our own orders and fills


@mutant("a fill that failed on its way to settlement stays booked")
def failed_not_reversed() -> list[Patch]:
    settle = positions.Position.settle

    def kept(self: Any, key: str, status: str) -> Any:
        return settle(self, key, "CONFIRMED" if status == "FAILED" else status)

    return [(positions.Position, "settle", kept)]


@mutant("the user channel's fill and REST's are two")
def fill_known_by_its_source() -> list[Patch]:
    key = booking.fill_key
    return [(booking, "fill_key", lambda record: f"{key(record)}:{record.source}")]


@mutant("fills come by the user channel alone")
def own_trades_never_read() -> list[Patch]:
    async def nothing(self: Any) -> bool:
        self._private.reads.feeds[own_trades.TRADES].read(
            self._private.account,
            asked_ms=self._private.reads.rest.now_ms(),
            answered_ms=self._private.reads.rest.now_ms(),
        )
        return True

    return [(own_trades.Trades, "read", nothing)]


@mutant("shares are sold before their purchase is confirmed")
def sold_above_confirmed() -> list[Patch]:
    def everything(self: Any, token: Any) -> int:
        return max(self.held_micro(token), 0)

    return [(account.AccountState, "sellable_micro", everything)]


@mutant("caps know nothing of orders in the air")
def caps_without_pending() -> list[Patch]:
    return [(orders.Order, "reserved_usd_micro", property(lambda self: 0))]


@mutant("leaders' caps bind nothing")
def leader_caps_forgotten() -> list[Patch]:
    return [(ordering, "_invested_by_leader", lambda _q, _i, wallets: dict.fromkeys(wallets, 0))]


@mutant("caps know nothing of fees that were paid")
def caps_without_fees() -> list[Patch]:
    cost = property(lambda self: self.unsettled_cost_micro)
    return [(positions.Position, "invested_micro", cost)]


@mutant("what is left after a sale cost nothing")
def sale_clears_the_cost() -> list[Patch]:
    add = positions.Sums.add

    def cleared(self: Any, fill: Any) -> None:
        add(self, fill)
        if fill.side == "SELL":
            self.cost_micro = self.cost_fees_micro = 0

    return [(positions.Sums, "add", cleared)]


@mutant("an order frees its token when the venue answers, not when its fills are there")
def token_freed_at_the_answer() -> list[Patch]:
    evolve = progress.evolve_progress

    def freed(state: Any, event: Any, *rest: Any) -> None:
        evolve(state, event, *rest)
        if event.state == "accepted":
            state.working.pop(event.token, None)

    return [(progress, "evolve_progress", freed), (planning.progress, "evolve_progress", freed)]


@mutant("no answer means refused")
def unknown_taken_for_refused() -> list[Patch]:
    happening = progress._happening

    def sure(record: Any) -> Any:
        found = happening(record)
        return "refused" if found == "unknown" else found

    return [(progress, "_happening", sure)]


@mutant("an unanswered order is signed anew")
def signed_again_when_unanswered() -> list[Patch]:
    plan, signed = execution_sink.plan, execution_ledger.Ledger._signed

    def again(life: Any, valid_until_ms: int, witness: Any, moment: Any, rules: Any) -> Any:
        unsure = life.state == "unknown" and moment.latest_ms <= valid_until_ms
        if unsure and witness.posts == 1:
            return execution_plan.Sign()
        return plan(life, valid_until_ms, witness, moment, rules)

    def newest(self: Any, offset: int, record: Any) -> None:
        signed(self, offset, record)
        life = self.life(record.intent)
        life.signed, life.signed_at = record, offset
        life.state = "signed"
        self._intents[record.order] = record.intent

    return [(execution_sink, "plan", again), (execution_ledger.Ledger, "_signed", newest)]


@mutant("of two signed orders the one with the earlier time counts, not the first on the tape")
def signatures_ordered_by_time() -> list[Patch]:
    signed = execution_ledger.Ledger._signed

    def by_time(self: Any, offset: int, record: Any) -> None:
        signed(self, offset, record)
        life = self.life(record.intent)
        if life.signed is not None and record.signed_ns > life.signed.signed_ns - 2_000_000_000:
            life.signed, life.signed_at = record, offset
            self._intents[record.order] = record.intent

    return [(execution_ledger.Ledger, "_signed", by_time)]


@mutant("orders are sent after their time")
def sent_after_its_time() -> list[Patch]:
    plan = execution_sink.plan

    def later(life: Any, valid_until_ms: int, *rest: Any) -> Any:
        return plan(life, valid_until_ms + 20_000, *rest)

    return [(execution_sink, "plan", later)]


@mutant("one look-up that finds nothing proves that nothing arrived")
def absent_at_the_first_look() -> list[Patch]:
    def proven(witness: Any, valid_until_ms: int, rules: Any) -> bool:
        return witness.absent_first_ms is not None

    return [
        (execution_plan, "_absence_proven", proven),
        (execution_plan, "_may_post", lambda life, witness: witness.mine and not witness.posts),
    ]


# Decisions and their record


@mutant("limits reach ten cents beyond the slippage")
def limit_beyond_the_slippage() -> list[Patch]:
    limit = sizing.slippage_limit

    def further(side: Any, touch: int, slippage: int, tick: int) -> int:
        return limit(side, touch, slippage + 100_000, tick)

    return [(sizing, "slippage_limit", further)]


@mutant("a resolved market keeps its positions and gaps")
def resolution_ignored() -> list[Patch]:
    end = market.Markets.observe_end

    def only_closed(self: Any, record: Any) -> None:
        if isinstance(record, market_records.MarketClosed):
            end(self, record)

    return [(market.Markets, "observe_end", only_closed)]


@mutant("what was redeemed stays owed")
def redemption_ignored() -> list[Patch]:
    return [(booking, "decide_redeemed", lambda account, record: ())]


@mutant("a hold is never looked at again")
def holds_never_looked_at_again() -> list[Patch]:
    held = ordering.evolve_held

    def for_ever(state: Any, event: Any, fold_clock: Any) -> None:
        held(state, event, fold_clock)
        state.holds[event.token].again_ms = 1 << 62

    depth = planning._observe_depth

    def asleep(state: Any, offset: int, record: Any) -> None:
        before = dict(state.touched)
        depth(state, offset, record)
        state.touched.clear()
        state.touched.update(before)

    return [
        (ordering, "evolve_held", for_ever),
        (planning.ordering, "evolve_held", for_ever),
        (planning, "_observe_depth", asleep),
    ]


@mutant("touched tokens are planned in a set's order, another one in each process")
def planned_in_a_sets_order() -> list[Patch]:
    decide = planning.decide

    def unordered(state: Any, offset: int, record: Any) -> Any:
        shuffled = sorted(state.touched, key=lambda place: hash((place, id(state))))
        state.touched.clear()
        state.touched.update(dict.fromkeys(shuffled))
        return decide(state, offset, record)

    return [(planning, "decide", unordered)]


@mutant("a step's snapshot is one epoch old")
def snapshot_an_epoch_old() -> list[Patch]:
    snapshot = copytrade.Step.snapshot

    def older(self: Any) -> bytes:
        now = snapshot(self)
        before: bytes = self.__dict__.get("before", now)
        self.__dict__["before"] = now
        return before

    return [(copytrade.Step, "snapshot", older)]


@mutant(
    "a second crash forgets the tail that the first one left to be written again",
    rule_test="tests/engine/test_numbered_sink.py"
    "::test_each_snapshot_says_where_and_with_which_number_to_go_on",
)
def tail_forgotten_at_the_second_crash() -> list[Patch]:
    def at_the_end(self: Any) -> Any:
        self._hub.settle()
        return self._end, self._back.next_number

    return [(numbered.NumberedPart, "snapshot", at_the_end)]


@mutant("the flow decides again after a crash instead of comparing with what it wrote")
def tail_written_again() -> list[Patch]:
    match = numbered.ReadBack.match

    def never(self: Any, row: Any) -> bool:
        match(self, row)
        return False

    return [(numbered.ReadBack, "match", never)]


@mutant(
    "a rebuild decides again what the journal decided",
    rule_test="tests/proof/test_rebuild.py"
    "::test_other_rules_take_over_without_changing_a_byte_that_stands",
)
def decided_again_in_a_rebuild() -> list[Patch]:
    def again(self: Any, offset: int, record: Any, links: list[Any], orders: list[Any]) -> None:
        self._decided(offset, record, links, orders)

    return [(rebuild._Rebuild, "_taken_in", again)]
