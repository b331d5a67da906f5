"""Reports about one wallet, a leader's or our own: waiting, judged, agreed or contradicted.

The rule itself is in reconcile.py; here is the book-keeping around it: reports wait until the
feeds' largest lag has passed, the first complete one opens the ledger (what was there before),
and per token the row of contradicting reports and the newest agreement are kept.

A feed may be later than its bound. A movement that becomes known late makes what reports said mean
less: those in a row, and those that a correction rests on. What they prove no longer is taken back
with it, so that nothing is ever counted as a correction and as a movement.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flows.core.corrections import Correction, Finding, judged_again, taken_back
from flows.core.reconcile import (
    AGREEING_REPORTS,
    SECOND_MS,
    Interval,
    Rebuilt,
    Span,
    common,
    compare,
    following,
    verdict,
)
from schemas.records.base import Condition, Token
from schemas.records.journal import PositionCorrected
from schemas.records.own import PositionsReport, ReportAsked

WAITING_MAX = 64
"""Reports of one subject that may wait for their judgement; an older one is dropped, unjudged."""
KEEP_MS = 600_000
"""Movements keep their venue second for so long: a fill may become known late, a report never."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report on the tape and when its question stood there."""

    report: PositionsReport
    asked_ms: int

    @property
    def said_by_ms(self) -> int:
        """Until when it may have seen what it says."""
        return max(self.asked_ms, self.report.answered_ms)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Final words about fills of a token contradict each other: what is held may be another number.

    least: the smallest such fill. gone: what counts as held and, by the later word, is not.
    """

    since_ms: int
    least_micro: int
    gone_micro: int


@dataclass(slots=True)
class Subject:
    """All that reports said about one wallet, beside what we rebuilt of it.

    unsettled: fills that reports should know by now, and nobody told how they ended; raised: those
    that an alarm named.
    """

    rebuilt: dict[Token, Rebuilt] = field(default_factory=dict)
    condition_of: dict[Token, Condition] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    opened_by: str | None = None
    opened_ms: int = 0
    opening: dict[Token, Interval] = field(default_factory=dict)
    rows: dict[Token, tuple[Interval, ...]] = field(default_factory=dict)
    corrections: dict[Token, list[Correction]] = field(default_factory=dict)
    confirmed_ms: dict[Token, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unsettled: dict[str, Token] = field(default_factory=dict)
    raised: dict[str, None] = field(default_factory=dict)
    doubts: dict[Token, Doubt] = field(default_factory=dict)

    def move(
        self,
        token: Token,
        condition: Condition,
        shares_micro: int,
        venue_ms: int,
        *,
        late: bool = False,
    ) -> None:
        """A movement that we know of, by venue time. late: past the bound that reports wait for."""
        self.condition_of[token] = condition
        self.rebuilt.setdefault(token, Rebuilt()).move(shares_micro, venue_ms)
        if late:
            self._became_known(token, Span(shares_micro, venue_ms, venue_ms))

    def booked(
        self,
        token: Token,
        condition: Condition,
        key: str,
        shares_micro: int,
        venue_ms: int,
        *,
        late: bool,
    ) -> None:
        """A fill of ours was matched; the venue's index may have it from then on."""
        self.condition_of[token] = condition
        self.rebuilt.setdefault(token, Rebuilt()).begin(key, shares_micro, venue_ms)
        if late:
            self._became_known(token, Span(shares_micro, venue_ms))

    def settled(self, token: Token, key: str, now_ms: int, *, failed: bool) -> None:
        """Its settlement's end was told: the index has it, or never will."""
        self.unsettled.pop(key, None)
        self.raised.pop(key, None)
        rebuilt = self.rebuilt[token]
        if failed:
            rebuilt.drop(key)
        else:
            rebuilt.end(key, now_ms)

    def observe_asked(self, record: ReportAsked) -> None:
        """A question stands on the tape; answers to others are not judged."""
        self.asked[record.report] = record.asked_ms
        while len(self.asked) > WAITING_MAX:
            del self.asked[next(iter(self.asked))]

    def observe_report(self, record: PositionsReport) -> None:
        """An answer waits for its judgement; an incomplete one proves nothing."""
        asked_ms = self.asked.pop(record.report, None)
        if asked_ms is None or not record.complete:
            return
        self.waiting.append(Waiting(record, asked_ms))
        del self.waiting[:-WAITING_MAX]

    def due(self, now_ms: int, fills_lag_ms: int) -> list[Waiting]:
        """Reports old enough that every fill they may contain has reached us by some feed."""
        return [w for w in self.waiting if now_ms >= w.said_by_ms + fills_lag_ms]

    def intervals(
        self, waiting: Waiting, lag_ms: int, skip: Iterable[Token]
    ) -> list[tuple[Token, Interval]]:
        """Where each token's difference lies by this report; settled tokens are left out.

        So is one with a finding that is not an event yet: it would be found again.
        """
        report = waiting.report
        rows = {row.token: row.shares_micro for row in report.rows}
        skipped = dict.fromkeys((*skip, *(f.token for f in self.findings)))
        return [
            (
                token,
                compare(
                    self.rebuilt.get(token, Rebuilt()),
                    row_micro=rows.get(token),
                    floor_micro=report.floor_micro,
                    asked_ms=waiting.asked_ms,
                    lag_ms=lag_ms,
                    report=report.report,
                    answered_ms=report.answered_ms,
                ),
            )
            for token in {**dict.fromkeys(self.rebuilt), **rows}
            if token not in skipped
        ]

    def opened_with(self, venue_ms: int, lag_ms: int) -> bool:
        """Whether the report that opened the ledger knew for sure what happened at this time."""
        line = (self.opened_ms - lag_ms) // SECOND_MS - 1
        return self.opened_by is not None and venue_ms // SECOND_MS < line

    def judge(self, waiting: Waiting, now_ms: int, lag_ms: int, skip: Iterable[Token]) -> bool:
        """Hold one report against what we rebuilt; what it proves goes to findings.

        Whether all of it agreed is returned. The first report of a wallet opens its ledger: what
        it says beyond our own record was there before. Where fills near its moment leave more
        than one difference possible, later reports narrow it down to one; until then nothing is
        adopted, since a baseline that is a guess would come back as drift. What a report says
        less than our record was never there before: that is drift, as in any other report.
        """
        first = self.opened_by is None
        clean = True
        for token, interval in self.intervals(waiting, lag_ms, skip):
            clean = clean and interval.agrees
            self._raise(token, waiting.asked_ms - lag_ms)
            if interval.agrees:
                self.confirmed_ms[token] = now_ms
                self._dispel(token, interval, waiting.asked_ms - lag_ms)
            if first and interval.high_micro > 0:
                self.opening[token] = interval
            if token in self.opening:
                self._narrow(token, interval, waiting.report.floor_micro)
                continue
            self.rows[token] = following(self.rows.get(token, ()), interval)
            proof = verdict(self.rows[token])
            if proof is not None:
                names = tuple(i.report for i in self.rows[token])
                self.findings.append(Finding(token, proof, names))
        self._conclude(waiting)
        return clean

    def _raise(self, token: Token, before_ms: int) -> None:
        """Fills that the report should know, and whose end nobody has told."""
        known = self.rebuilt.get(token)
        for key, span in known.spans.items() if known is not None else ():
            if span.upto_ms is None and span.from_ms < before_ms and key not in self.raised:
                self.unsettled[key] = token

    def _became_known(self, token: Token, span: Span) -> None:
        """A movement that reports may have known before us: what they said means less.

        What corrections rest on is judged again, each as if the movement had been known then.
        """
        row: tuple[Interval, ...] = ()
        for each in self.rows.pop(token, ()):
            row = following(row, each.knowing(span))
        if row:
            self.rows[token] = row
        if token in self.opening:
            self.opening[token] = self.opening[token].knowing(span)
        self.findings = [f for f in self.findings if f.token != token or not f.taken_back]
        self.findings += judged_again(token, self.corrections.get(token, []), span)

    def _narrow(self, token: Token, interval: Interval, floor_micro: int) -> None:
        """One more report about what was there before; adopted when only one value is left.

        Values closer together than the dust floor are one: a report may leave such a row out.
        """
        known = self.opening[token]
        low, high = common((known, interval))
        if low > high:
            # Our own record moved wrongly in between: the newest report begins again.
            low, high = interval.low_micro, interval.high_micro
        self.opening[token] = Interval(low, high, known.report)
        if high - low > floor_micro:
            return
        left = self.opening.pop(token)
        if left.agrees:
            return
        if low > 0:
            names = tuple(dict.fromkeys((left.report, interval.report)))
            self.findings.append(Finding(token, left, names, opening=True))
        else:
            self.rows[token] = (interval,)

    def doubt(self, token: Token, signed_micro: int, now_ms: int) -> None:
        """A later word would move what is held by so much; reports asked before say nothing."""
        known = self.doubts.get(token) or Doubt(now_ms, abs(signed_micro), 0)
        least = min(known.least_micro, abs(signed_micro))
        self.doubts[token] = Doubt(now_ms, least, known.gone_micro + max(-signed_micro, 0))

    def _dispel(self, token: Token, interval: Interval, from_ms: int) -> None:
        """An agreement asked well after it, and that rules the other word out, ends a doubt."""
        doubt = self.doubts.get(token)
        width = interval.high_micro - interval.low_micro
        if doubt is not None and from_ms >= doubt.since_ms and width < doubt.least_micro:
            del self.doubts[token]

    def opened(self, token: Token, shares_micro: int) -> None:
        """What was there before our record became an event."""
        self.rebuilt.setdefault(token, Rebuilt()).adjust(shares_micro)
        self.rows.pop(token, None)
        self.opening.pop(token, None)
        self.findings = [f for f in self.findings if f.token != token]

    def take(self, event: PositionCorrected) -> None:
        """A finding became an event: now, or in the journal of a rebuild."""
        if event.opening:
            self.opened(event.token, event.shares_micro)
        elif event.taken_back:
            self.took_back(event.token, event.shares_micro, event.reports)
        else:
            self.corrected(event.token, event.shares_micro, event.reports)

    def corrected(self, token: Token, shares_micro: int, reports: tuple[str, ...]) -> None:
        """A finding became a correction; the row that proved it is spent, and kept with it."""
        evidence = tuple(each for each in self.rows.get(token, ()) if each.report in reports)
        self.opened(token, shares_micro)
        if len(evidence) == AGREEING_REPORTS:
            self.corrections.setdefault(token, []).append(Correction(shares_micro, evidence))

    def took_back(self, token: Token, shares_micro: int, reports: tuple[str, ...]) -> None:
        """A part of the correction that rested on these reports is no more."""
        self.rebuilt.setdefault(token, Rebuilt()).adjust(shares_micro)
        taken_back(self.corrections.get(token, []), shares_micro, reports)
        if token in self.rows:
            self.rows[token] = tuple(i.shifted(-shares_micro) for i in self.rows[token])
        self.findings = [f for f in self.findings if (f.token, f.reports) != (token, reports)]

    def _conclude(self, waiting: Waiting) -> None:
        self.waiting.remove(waiting)
        if self.opened_by is None:
            self.opened_by, self.opened_ms = waiting.report.report, waiting.asked_ms
        for row in waiting.report.rows:
            self.condition_of.setdefault(row.token, row.condition)
        line_ms = waiting.asked_ms - KEEP_MS
        for rebuilt in self.rebuilt.values():
            rebuilt.prune(line_ms)
        for token, kept in list(self.corrections.items()):
            self.corrections[token] = [c for c in kept if c.evidence[-1].upto_ms >= line_ms]
            if not self.corrections[token]:
                del self.corrections[token]
