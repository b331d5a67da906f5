"""Runs the processes of a pipeline as the supervisor decides; decides nothing itself.

One loop: who has ended, what falls due, what the logs say; beside it one task for each process asks
its /healthz and /readyz. Processes are children of this one thread, tethered: they die with it.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import assert_never

import httpx
import msgspec

from infra.children import Child
from infra.run.relay import Follower, put_aside
from infra.run.supervisor import Action, Say, Signal, Start, Supervisor, Verdict

LOG = logging.getLogger("truecopy.run")
LOOK_S = 0.1
BEAT_S = 1.0
ANSWER_S = 3.0
REASON_MAX = 200
LEVELS = {"INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}
SIGNALS = {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL}


class Driver:
    """One run. health: base address of each process's endpoints; say: shows a line of theirs."""

    def __init__(
        self,
        supervisor: Supervisor,
        children: Mapping[str, Child],
        health: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._supervisor = supervisor
        self._children = children
        self._health = health
        self._say = say
        self._followers = [Follower(name, child.log) for name, child in children.items()]
        self._running: set[str] = set()

    async def run(self, running: Iterable[str] = ()) -> Verdict:
        """Start all but those running already; returns when everything has ended.

        SIGTERM or SIGINT stops in order, a second one at once. Whatever goes wrong here, no child
        is left.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._running.update(running)
        beats = []
        try:
            self._do(self._supervisor.begin(now_ms(), self._running.copy()))
            beats = [asyncio.create_task(self._listen(*each)) for each in self._health.items()]
            while not self._supervisor.over:
                self._look()
                _raise_failed(beats)
                await asyncio.sleep(LOOK_S)
            self._relay()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            for task in beats:
                task.cancel()
            await asyncio.gather(*beats, return_exceptions=True)
            self._leave_nothing()
        return self._supervisor.verdict

    def stop(self) -> None:
        """Stop in order; called once more, at once."""
        self._do(self._supervisor.stop(now_ms()))

    def _look(self) -> None:
        for name in sorted(self._running):
            code = self._children[name].ended()
            if code is not None:
                self._running.discard(name)
                self._relay()
                self._do(self._supervisor.exited(name, code, now_ms()))
        self._do(self._supervisor.tick(now_ms()))
        self._relay()

    def _relay(self) -> None:
        for follower in self._followers:
            for line in follower.look():
                self._say(line)

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Start(name=name):
                    self._start(name)
                case Signal(name=name, signal=word):
                    self._children[name].signal(SIGNALS[word])
                case Say(level=level, text=text):
                    LOG.log(LEVELS[level], text)
                case _:
                    assert_never(action)

    def _start(self, name: str) -> None:
        child = self._children[name]
        put_aside(child.log)
        child.start()
        assert child.process is not None, "it was started just now"
        self._running.add(name)
        LOG.info("child=%s state=started pid=%d", name, child.process.pid)

    async def _listen(self, name: str, base: str) -> None:
        """Ask a process how it is, again and again; while it does not run nobody is asked."""
        async with httpx.AsyncClient(base_url=base, timeout=ANSWER_S, trust_env=False) as client:
            while True:
                if name in self._running:
                    trouble, waits_for = await _asked(client)
                    self._do(self._supervisor.beat(name, trouble, waits_for, now_ms()))
                await asyncio.sleep(BEAT_S)

    def _leave_nothing(self) -> None:
        for child in self._children.values():
            if child.running():
                child.kill()


async def _asked(client: httpx.AsyncClient) -> tuple[str | None, str]:
    """Why a process is not healthy, None if it is; and what it still waits for."""
    try:
        health = await client.get("/healthz")
        if health.status_code != HTTPStatus.OK:
            return health.text.strip()[:REASON_MAX] or f"answers {health.status_code}", ""
        ready = await client.get("/readyz")
    except httpx.HTTPError as error:
        return f"no answer: {type(error).__name__}", ""
    return None, "" if ready.status_code == HTTPStatus.OK else _open_conditions(ready.content)


def _open_conditions(body: bytes) -> str:
    """The names that a /readyz object gives as not yet true."""
    try:
        conditions = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "an unreadable /readyz"
    waits = sorted(name for name, value in conditions.items() if bytes(value) != b"true")
    return ",".join(waits)[:REASON_MAX] or "readiness"


def _raise_failed(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def now_ms() -> int:
    """A clock that never steps back."""
    return time.monotonic_ns() // 1_000_000
