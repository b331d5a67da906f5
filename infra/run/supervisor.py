"""Decides what a supervisor does: start again, wait, give up, stop in order. No clock, no process.

The driver tells what happened (`exited`, `beat`, `tick`, `stop`) and does what comes back. While
one process is down the others go on: without its Ticks, orders or answers they hold by themselves.
A process that ends is started again after a pause that doubles; one that ends with a code no new
start can cure, or too often, ends the pipeline. Times are milliseconds of any steady clock.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from infra.run.parts import LOST_EXIT, STOP_ORDER, Meaning, Part

State = Literal["idle", "running", "waiting", "ending", "ended"]
Level = Literal["INFO", "WARNING", "ERROR"]


@dataclass(frozen=True)
class Limits:
    """pause: before a new start, doubling up to pause_max, at least half of it after jitter.

    More than restarts_max starts within the window is giving up. well: after so long without
    complaint the pause is short again. begin: how long a new process may take until it first says
    it is healthy. ill: how long one may be unhealthy. patience: from SIGTERM to SIGKILL.
    """

    pause_ms: int = 1_000
    pause_max_ms: int = 60_000
    restarts_max: int = 5
    window_ms: int = 600_000
    well_ms: int = 60_000
    begin_ms: int = 120_000
    ill_ms: int = 30_000
    patience_ms: int = 10_000


@dataclass(frozen=True)
class Start:
    """Start this process."""

    name: str


@dataclass(frozen=True)
class Signal:
    """Send this signal to this process."""

    name: str
    signal: Literal["TERM", "KILL"]


@dataclass(frozen=True)
class Say:
    """One line of log: a state has changed."""

    level: Level
    text: str


Action = Start | Signal | Say


@dataclass(frozen=True)
class Verdict:
    """How the run ends. code: of the supervisor itself; reason: '' for a stop as asked."""

    code: int = 0
    reason: str = ""


@dataclass
class _Watched:
    part: Part
    state: State = "idle"
    since_ms: int = 0
    due_ms: int | None = None
    was_well: bool = False
    well_since_ms: int | None = None
    ill_since_ms: int | None = None
    ready: bool = False
    waits_for: str = ""
    streak: int = 0
    restarts: list[int] = field(default_factory=list)


class Supervisor:
    """State of every process; see the module. jitter: draws from [0, 1)."""

    def __init__(
        self, parts: Sequence[Part], *, limits: Limits, jitter: Callable[[], float]
    ) -> None:
        self._watched = {part.name: _Watched(part) for part in parts}
        assert self._watched.keys() <= {name for group in STOP_ORDER for name in group}
        self._limits = limits
        self._jitter = jitter
        self._asked = self._stopping = False
        self._ready = False
        self.verdict = Verdict()

    @property
    def over(self) -> bool:
        """Whether everything has ended."""
        return self._stopping and all(w.state == "ended" for w in self._watched.values())

    def begin(self, now_ms: int, running: Iterable[str] = ()) -> list[Action]:
        """Start all but those that run already."""
        for name in running:
            self._run(self._watched[name], now_ms)
        idle = [w for w in self._watched.values() if w.state == "idle"]
        return [action for w in idle for action in self._start(w, now_ms)]

    def exited(self, name: str, code: int, now_ms: int) -> list[Action]:
        """A process has ended; code as the system tells it, negative for a signal."""
        watched = self._watched[name]
        watched.ready = self._ready = False
        meaning = watched.part.final.get(code)
        if meaning is not None:
            return self._lost(watched, code, meaning, now_ms, code)
        if self._stopping:
            watched.state, watched.due_ms = "ended", None
            level: Level = "WARNING" if code else "INFO"
            said = Say(level, f"child={name} state=stopped code={code}")
            return [said, *self._stop_next(now_ms)]
        if not watched.part.restarts:
            gone = Meaning("what it held is gone", "embedded-broker-limit")
            return self._lost(watched, code, gone, now_ms, LOST_EXIT)
        recent = [at for at in watched.restarts if at > now_ms - self._limits.window_ms]
        watched.restarts = recent
        if len(recent) >= self._limits.restarts_max:
            often = f"started {len(recent)} times again in {self._limits.window_ms // 60_000} min"
            limit = Meaning(often, "child-restart-limit")
            return self._lost(watched, code, limit, now_ms, LOST_EXIT)
        return self._again(watched, code, now_ms)

    def beat(self, name: str, trouble: str | None, waits_for: str, now_ms: int) -> list[Action]:
        """What a process says of itself. trouble: why it is not healthy, None if it is.

        waits_for: what it still waits for, '' once it is ready.
        """
        watched = self._watched[name]
        if watched.state != "running":
            return []
        if trouble is None:
            return [*self._well(watched, now_ms), *self._readiness(watched, waits_for)]
        return self._ill(watched, trouble, now_ms)

    def tick(self, now_ms: int) -> list[Action]:
        """Time has passed: what falls due."""
        due = [w for w in self._watched.values() if w.due_ms is not None and now_ms >= w.due_ms]
        return [action for watched in due for action in self._fallen_due(watched, now_ms)]

    def stop(self, now_ms: int) -> list[Action]:
        """Asked to stop: in order; asked once more: at once."""
        if self._asked:
            return self._stop_at_once()
        self._asked = True
        return self._stop(now_ms)

    def _stop(self, now_ms: int) -> list[Action]:
        if self._stopping:
            return []
        self._stopping = True
        for watched in self._watched.values():
            if watched.state in ("idle", "waiting"):
                watched.state, watched.due_ms = "ended", None
        return [Say("INFO", "pipeline=all state=stopping"), *self._stop_next(now_ms)]

    def _stop_at_once(self) -> list[Action]:
        left = [w for w in self._watched.values() if w.state in ("running", "ending")]
        for watched in left:
            watched.state, watched.due_ms = "ending", None
        kills = [Signal(w.part.name, "KILL") for w in left]
        return [Say("WARNING", "pipeline=all state=killing reason=second_signal"), *kills]

    def _stop_next(self, now_ms: int) -> list[Action]:
        """SIGTERM for the first group of STOP_ORDER that has not ended."""
        for group in STOP_ORDER:
            left = [w for w in self._watched.values() if w.part.name in group]
            left = [w for w in left if w.state != "ended"]
            if left:
                running = [w for w in left if w.state == "running"]
                return [self._terminate(w, now_ms) for w in running]
        return []

    def _terminate(self, watched: _Watched, now_ms: int) -> Signal:
        watched.state, watched.due_ms = "ending", now_ms + self._limits.patience_ms
        return Signal(watched.part.name, "TERM")

    def _start(self, watched: _Watched, now_ms: int) -> list[Action]:
        self._run(watched, now_ms)
        return [Start(watched.part.name)]

    def _run(self, watched: _Watched, now_ms: int) -> None:
        watched.state, watched.since_ms, watched.due_ms = "running", now_ms, None
        watched.ill_since_ms, watched.waits_for = None, ""
        # What has no endpoint is as well as it runs.
        watched.was_well = watched.ready = not watched.part.health_key
        watched.well_since_ms = now_ms if watched.was_well else None

    def _fallen_due(self, watched: _Watched, now_ms: int) -> list[Action]:
        watched.due_ms = None
        name = watched.part.name
        if watched.state == "waiting":
            return self._start(watched, now_ms)
        assert watched.state == "ending", f"{name} is {watched.state} and falls due"
        after = f"reason=still_there_after_{self._limits.patience_ms}_ms"
        return [Say("WARNING", f"child={name} state=killing {after}"), Signal(name, "KILL")]

    def _again(self, watched: _Watched, code: int, now_ms: int) -> list[Action]:
        limits, name = self._limits, watched.part.name
        if watched.well_since_ms is not None and now_ms - watched.well_since_ms >= limits.well_ms:
            watched.streak = 0
        longest = min(limits.pause_ms * 2**watched.streak, limits.pause_max_ms)
        pause_ms = longest // 2 + int(longest / 2 * self._jitter())
        watched.streak += 1
        watched.restarts.append(now_ms)
        watched.state, watched.due_ms = "waiting", now_ms + pause_ms
        return [Say("WARNING", f"child={name} state=ended code={code} again_in_ms={pause_ms}")]

    def _lost(
        self, watched: _Watched, code: int, meaning: Meaning, now_ms: int, own_code: int
    ) -> list[Action]:
        """A process that is not started again; without an essential one everything stops."""
        name = watched.part.name
        watched.state, watched.due_ms = "ended", None
        reason = f"{name} ended with code {code}: {meaning.text}; RUNBOOK.md#{meaning.anchor}"
        said = Say("ERROR", f"child={name} state=lost code={code} reason={reason!r}")
        if watched.part.essential and not self.verdict.code:
            self.verdict = Verdict(code=own_code, reason=reason)
        if self._stopping:
            return [said, *self._stop_next(now_ms)]
        return [said, *(self._stop(now_ms) if watched.part.essential else [])]

    def _well(self, watched: _Watched, now_ms: int) -> list[Action]:
        was_ill = watched.ill_since_ms is not None and watched.was_well
        watched.was_well, watched.ill_since_ms = True, None
        if watched.well_since_ms is None:
            watched.well_since_ms = now_ms
        return [Say("INFO", f"child={watched.part.name} state=healthy")] if was_ill else []

    def _ill(self, watched: _Watched, trouble: str, now_ms: int) -> list[Action]:
        limits, name = self._limits, watched.part.name
        watched.well_since_ms, watched.ready, self._ready = None, False, False
        said: list[Action] = []
        if watched.ill_since_ms is None:
            watched.ill_since_ms = now_ms
            if watched.was_well:
                said = [Say("WARNING", f"child={name} state=unhealthy reason={trouble!r}")]
        new = not watched.was_well
        ill_ms = now_ms - (watched.since_ms if new else watched.ill_since_ms)
        if ill_ms < (limits.begin_ms if new else limits.ill_ms):
            return said
        text = f"child={name} state=ending ill_ms={ill_ms} reason={trouble!r}"
        return [*said, Say("ERROR", text), self._terminate(watched, now_ms)]

    def _readiness(self, watched: _Watched, waits_for: str) -> list[Action]:
        name, said = watched.part.name, []
        ready = not waits_for
        if ready != watched.ready or waits_for != watched.waits_for:
            text = "ready" if ready else f"waiting for={waits_for!r}"
            said.append(Say("INFO", f"child={name} state={text}"))
        watched.ready, watched.waits_for = ready, waits_for
        return [*said, *self._all_ready()]

    def _all_ready(self) -> list[Action]:
        """Said once each time the last essential process has become ready."""
        ready = all(w.ready for w in self._watched.values() if w.part.essential)
        if ready == self._ready:
            return []
        self._ready = ready
        return [Say("INFO", "pipeline=all state=ready")] if ready else []
