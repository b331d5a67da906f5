"""The one producer class: idempotent, acks=all, loud about the first record that is not delivered.

One undelivered record makes every later call raise, and the callbacks of records after it are not
called any more: nobody may move a cursor past a hole. It never gives up by itself and never sends
twice; in a broker outage records queue here (100,000 at most, then `append` blocks).

Callbacks run inside `poll`, `flush` and the waiting calls, in the caller's thread; nothing else
polls. A driver that forgets to poll learns of a failure late, so asyncio drivers run `keep_polling`
in their task group. Use one instance from one thread.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from connectors.kafka.config import Health
from connectors.kafka.errors import KafkaFailed, UndeliveredRecord, stop_if_fatal

OnAppended = Callable[[int], None]
Headers = Sequence[tuple[str, bytes]]

FULL_POLL_S = 0.1
ACK_POLL_S = 0.001
ACK_POLL_LAST_S = 0.01
ACK_SOON_POLLS = 20
"""Polls at the short interval before they become rarer; an event loop's timers are of 1 ms."""
IDLE_POLL_S = 0.005


class Producer:
    """Appends records to named partitions. `config` comes from `producer_config`.

    delivered: acknowledged records by topic, since the beginning.
    """

    def __init__(self, config: Mapping[str, Any], *, name: str = "producer") -> None:
        self.health = Health(name)
        self.delivered: Counter[str] = Counter()
        self._client = confluent_kafka.Producer({**config, **self.health.callbacks()})
        self._failed: KafkaFailed | None = None
        self._awaited = 0
        self._ack_polls = 0
        self._ack_poller: asyncio.Future[None] | None = None

    @property
    def outstanding(self) -> int:
        """Records that are appended and not yet acknowledged, or whose report is not yet polled."""
        return len(self._client)

    def append(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: Headers = (),
        on_appended: OnAppended | None = None,
    ) -> None:
        """Queue one record; `on_appended(offset)` runs once the broker has it on all replicas.

        Raises UndeliveredRecord if this or an earlier record could not be delivered. Blocks while
        the queue is full.
        """
        while True:
            self.check()
            try:
                self._client.produce(
                    topic,
                    value=value,
                    key=key,
                    partition=partition,
                    headers=list(headers),
                    on_delivery=partial(self._delivered, on_appended),
                )
            except BufferError:
                self._client.poll(FULL_POLL_S)
            except KafkaException as error:
                self._fail(f"{topic}/{partition}", error.args[0])
            else:
                return

    def _delivered(
        self, on_appended: OnAppended | None, error: KafkaError | None, message: Message
    ) -> None:
        if self._failed is not None:
            return
        topic = str(message.topic())
        if error is not None:
            self._failed = undelivered(_where(message), f"{error.name()}: {error.str()}")
            return
        self.delivered[topic] += 1
        self.health.on_traffic()
        if on_appended is None:
            return
        offset = message.offset()
        if offset is None or offset < 0:
            # A repeat that the broker recognised after it had forgotten the first one's offset.
            self._failed = undelivered(_where(message), "acknowledged, but the offset is not known")
            return
        on_appended(offset)

    def _fail(self, where: str, error: KafkaError) -> NoReturn:
        try:
            self._client.poll(0)  # an earlier record may have failed, and only its report is due
        finally:  # whatever a callback raises, nothing is appended behind this one
            if self._failed is None:
                self._failed = undelivered(where, f"{error.name()}: {error.str()}")
        raise self._failed

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failed is None and self.health.fatal is not None:
            stop_if_fatal(self.health.fatal, "producer")
        if self._failed is not None:
            raise self._failed

    def poll(self, timeout_s: float = 0.0) -> None:
        """Run due callbacks, waiting at most so long for a first one; raises like `check`."""
        self._client.poll(timeout_s)
        self.check()

    def flush(self, timeout_s: float) -> int:
        """Wait for all acknowledgements, at most so long; how many are missing. Raises too."""
        missing = self._client.flush(timeout_s)
        self.check()
        return missing

    def append_and_wait(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: Headers = (),
        timeout_s: float | None = None,
    ) -> int:
        """Append and wait for the offset, through outages unless there is a time-out.

        After a TimeoutError the record may still be appended: its fate is unknown.
        """
        offsets: list[int] = []
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self.append(
            topic,
            value,
            key=key,
            partition=partition,
            headers=headers,
            on_appended=offsets.append,
        )
        while not offsets:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{topic}/{partition}: no acknowledgement in {timeout_s} s")
            self.poll(FULL_POLL_S)
        return offsets[0]

    async def append_acknowledged(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: Headers = (),
    ) -> int:
        """The same for asyncio: the offset, once acknowledged; waits through outages.

        It needs nobody else to poll: one task does, for all who wait, each millisecond while
        records were appended just now, then more rarely. Cancelled, the record may still be
        appended.
        """
        acknowledged: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def resolve(offset: int) -> None:
            if not acknowledged.done():
                acknowledged.set_result(offset)

        self.append(
            topic, value, key=key, partition=partition, headers=headers, on_appended=resolve
        )
        self._awaited += 1
        self._ack_polls = 0
        try:
            while not acknowledged.done():
                if self._ack_poller is None or self._ack_poller.done():
                    self._ack_poller = asyncio.create_task(self._poll_acks())
                poller = self._ack_poller
                either: list[asyncio.Future[Any]] = [acknowledged, poller]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if poller.done():
                    poller.result()
            return acknowledged.result()
        finally:
            self._awaited -= 1

    async def _poll_acks(self) -> None:
        """Poll until nobody waits; what it raises is raised to everybody who does."""
        while self._awaited:
            soon = self._ack_polls < ACK_SOON_POLLS
            self._ack_polls += 1
            await asyncio.sleep(ACK_POLL_S if soon else ACK_POLL_LAST_S)
            self.poll()

    async def keep_polling(self, every_s: float = IDLE_POLL_S) -> NoReturn:
        """Poll for ever; run it in the driver's task group, which a failure then ends."""
        while True:
            self.poll()
            await asyncio.sleep(every_s)


def _where(message: Message) -> str:
    return f"{message.topic()}/{message.partition()}"


def undelivered(where: str, reason: str) -> UndeliveredRecord:
    """The first record that is not known to be in the log, and what to do about it."""
    return UndeliveredRecord(
        f"record for {where} was not delivered ({reason}); restart: what stands is read back"
    )
