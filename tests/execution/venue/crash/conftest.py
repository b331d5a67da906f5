"""Execution as processes on a broker, with a clock on the tape and the little venue behind it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import PartitionReader
from connectors.kafka.producer import Producer
from schemas.codec import Envelope, decode, encode, headers, seal
from schemas.records.base import Intent, Record
from schemas.records.journal import OrderRequested
from schemas.records.system import FlowStarted

ROOT = Path(__file__).resolve().parents[4]
WAIT_S = 90
"""Long enough for a machine that is busy with something else."""


class Nursery:
    """Forks execution processes from one that has imported everything (killable.py)."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killable.py"))],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, job: dict[str, Any]) -> int:
        """Its answer to one line."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(job) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())

    def close(self) -> None:
        """It kills its children at the end of its input."""
        self._parent.communicate(timeout=WAIT_S)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One for all tests."""
    made = Nursery()
    yield made
    made.close()


@dataclass
class Child:
    """One execution process."""

    nursery: Nursery
    pid: int
    log: Path
    code: int | None = None

    @property
    def state(self) -> str:
        """The kernel's letter: R, S, T (stopped), Z (dead)."""
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    @property
    def said(self) -> str:
        """All that it has printed and logged."""
        return self.log.read_text() if self.log.exists() else ""

    async def until(self, what: Callable[["Child"], bool], limit_s: float = WAIT_S) -> None:
        """Wait until something is true of it."""
        deadline = time.monotonic() + limit_s
        while not what(self):
            assert time.monotonic() < deadline, f"in vain; it said: {self.said}"
            await asyncio.sleep(0.02)

    async def died(self) -> int:
        """Wait for its end; its return code."""
        await self.until(lambda child: child.state == "Z")
        self.code = self.nursery.ask({"wait": self.pid})
        return self.code

    async def stopped(self) -> None:
        """Wait until it has stopped itself (SIGSTOP)."""
        await self.until(lambda child: child.state == "T")

    async def ready(self) -> None:
        """Wait until it has read the tape to its end."""
        await self.until(lambda child: "state=ready" in child.said)

    def send(self, number: int) -> None:
        """A signal."""
        os.kill(self.pid, number)


class Rig:
    """Topics on a broker, a living clock on the tape, and execution as processes of its own."""

    def __init__(
        self, nursery: Nursery, make: Any, bootstrap: str, topics: Any, folder: Path, venue: Any
    ) -> None:
        self.nursery = nursery
        self.bootstrap = bootstrap
        self.prefix = topics.prefix
        self.tape = topics.make("tape")
        self.orders = topics.make("orders")
        self.folder = folder
        self.make = make
        self.venue = venue
        self.children: list[Child] = []
        self.stop_file = folder / "STOP"
        self._producer = Producer(producer_config(bootstrap))
        self._numbers = 0
        self._ticking: asyncio.Task[None] | None = None

    async def append(self, record: Record) -> int:
        """One record on the tape."""
        return await self._producer.append_acknowledged(
            self.tape, encode(record), key=None, partition=0, headers=headers(record)
        )

    async def start_clock(self, step_ms: int = 0) -> None:
        """Ticks as a public connector appends them; step_ms: how far its clock is off."""

        async def ticking() -> None:
            while True:
                await self.append(self.make.tick(now_ms() + step_ms))
                await asyncio.sleep(0.05)

        await self.append(self.make.tick(now_ms() + step_ms))
        self._ticking = asyncio.create_task(ticking())

    async def stop_clock(self) -> None:
        """No Ticks any more."""
        assert self._ticking is not None
        self._ticking.cancel()

    async def order(self, ttl_ms: int = 3_600_000, **given: Any) -> OrderRequested:
        """Put one order on the orders topic, caused by a tape record that stands there."""
        cause = await self.append(FlowStarted(shard=0, rules=1))
        intent = Intent(f"main:{cause}:0")
        request = self.make.request(intent=intent, valid_until_ms=now_ms() + ttl_ms, **given)
        await self.put(request, self._numbers, cause)
        self._numbers += 1
        return request

    async def put(self, request: OrderRequested, n: int, cause: int) -> None:
        """One sealed record on the orders topic."""
        sealed = seal(request, Envelope(n=n, cause=cause, rules=1))
        await self._producer.append_acknowledged(
            self.orders, sealed, key=None, partition=0, headers=headers(request)
        )

    def config(self, secrets: Any, **execution: Any) -> Path:
        """A settings file; execution's own keys may be overridden."""
        key, creds = secrets.write(self.folder)
        lines = {
            "kafka": {"bootstrap": self.bootstrap, "prefix": self.prefix, "fetch_wait_ms": 5},
            "venue": {name: getattr(self.venue, name) for name in self.venue.__struct_fields__},
            "account": {"account": "main", "wallet": secrets.wallet},
            "execution": {
                "backend": "live",
                "key_file": str(key),
                "credentials_file": str(creds),
                "stop_file": str(self.stop_file),
                "lookup_every_ms": 200,
                "absent_after_ms": 1_000,
                "post_timeout_ms": 60_000,
                **execution,
            },
            "execution.paper": {"latency_ms": 10, "settle_ms": 100, "positions_every_ms": 500},
        }
        text = "\n".join(
            f"[{name}]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in keys.items())
            for name, keys in lines.items()
        )
        text += f'\n[[policy.accounts]]\nname = "main"\nwallet = "{secrets.wallet.lower()}"\n'
        path = self.folder / "truecopy.toml"
        path.write_text(text)
        return path

    def start(self, config: Path, *flags: str, at: str = "", do: str = "kill") -> Child:
        """Execution as a process that dies (or stops) at a checkpoint, if one is named."""
        log = self.folder / f"log-{len(self.children)}"
        argv = ["--config", str(config), *flags]
        pid = self.nursery.ask({"argv": argv, "log": str(log), "at": at, "do": do})
        self.children.append(Child(self.nursery, pid, log))
        return self.children[-1]

    def records(self) -> list[Record]:
        """The whole tape, decoded."""
        config = consumer_config(self.bootstrap, fetch_wait_ms=5)
        with PartitionReader(config, {(self.tape, 0): 0}) as reader:
            rows = [row for rows in reader.read_to(reader.end_offsets()) for row in rows]
        return [decode(row.value) for row in rows]

    async def until(
        self,
        kind: type[Record],
        enough: Callable[[list[Any]], bool] = bool,
        limit_s: float = WAIT_S,
    ) -> list[Any]:
        """Wait until the tape's records of a kind are enough; all of that kind."""
        deadline = time.monotonic() + limit_s
        while not enough(found := await asyncio.to_thread(self.of, kind)):
            said = [child.said for child in self.children]
            assert time.monotonic() < deadline, f"in vain: {found}; {said}"
            await asyncio.sleep(0.05)
        return found

    def of(self, kind: type[Record]) -> list[Any]:
        """The tape's records of a kind."""
        return [record for record in self.records() if isinstance(record, kind)]

    async def close(self) -> None:
        """End every process and the clock."""
        if self._ticking is not None:
            self._ticking.cancel()
        for child in self.children:
            if child.code is None:
                child.send(signal.SIGKILL)
                await child.died()


def now_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


@pytest.fixture
async def rig(
    nursery: Nursery,
    make: Any,
    any_broker: Any,
    topics: Any,
    tmp_path: Path,
    http_venue: Any,
    venue_at: Any,
) -> AsyncIterator[Rig]:
    """A rig on the real broker and on the embedded one, with the little venue behind it."""
    venue = venue_at(http_venue.url)
    made = Rig(nursery, make, any_broker.bootstrap, topics, tmp_path, venue)
    yield made
    await made.close()
