"""The account connector process: parts put together, nothing decided here.

It reads one account with API credentials from a private file; the signing key is never near it.
Order: credentials, announcement on the tape, cursor, then user channel and REST until told to stop.
Without a cursor trades are read from the tape's own beginning: what was there before is the opening
that the first positions report states.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.account.private import (
    OWN_BALANCE,
    OWN_ORDERS,
    OWN_POSITIONS,
    OWN_TRADES,
    Private,
)
from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.consumer import BEGINNING, PartitionReader
from connectors.kafka.producer import Producer
from connectors.polymarket.backoff import Backoff
from connectors.polymarket.credentials import Credentials, read_credentials
from connectors.polymarket.cursors import ReadCursor
from connectors.polymarket.effects import Append, Effect, Quarantine, Resync
from connectors.polymarket.health import ReadFeed, socket_state
from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.own_fills import OwnFills
from connectors.polymarket.process import every, run_until, tick_forever
from connectors.polymarket.reads import Reads
from connectors.polymarket.redact import redact
from connectors.polymarket.rest import Rest
from connectors.polymarket.stream import Stream
from connectors.polymarket.user import UserSession
from connectors.polymarket.watchlist import read_cursors
from connectors.polymarket.wire import BadValue, wallet
from schemas.records.base import Account
from schemas.records.system import ConnectorStarted, FeedState
from schemas.settings import Settings, SettingsError
from schemas.wiring import AccountWiring

LOG = logging.getLogger(__name__)
FLUSH_S = 5.0
STALE_POLLS = 4
FIRST_RECORD_WAIT_S = 30.0


def read_feeds(wiring: AccountWiring) -> dict[str, ReadFeed]:
    """The health of each kind of read."""
    feeds = {
        OWN_TRADES: ReadFeed(STALE_POLLS * wiring.trades_poll_ms),
        OWN_ORDERS: ReadFeed(STALE_POLLS * wiring.orders_poll_ms),
        OWN_POSITIONS: ReadFeed(STALE_POLLS * wiring.positions_poll_ms),
        OWN_BALANCE: ReadFeed(STALE_POLLS * wiring.balance_poll_ms),
    }
    for feed in feeds.values():
        feed.follow(wiring.account)
    return feeds


def check_wiring(wiring: AccountWiring) -> None:
    """Refuse to start without knowing whose account it is; raises SettingsError."""
    for name, value in (("wallet", wiring.wallet), ("signer", wiring.signer or wiring.wallet)):
        try:
            wallet(value)
        except BadValue as error:
            raise SettingsError(f"account.{name}: {error}") from error


class AccountFeed:
    """User channel and REST reads of one account."""

    def __init__(
        self,
        settings: Settings,
        *,
        outbox: Outbox,
        rest: Rest,
        ids: Ids,
        credentials: Credentials,
        cursor: ReadCursor,
    ) -> None:
        wiring, venue = settings.wiring.account, settings.wiring.venue
        self._wiring = wiring
        self._outbox = outbox
        self._credentials = credentials
        self._feeds = read_feeds(wiring)
        fills = OwnFills(
            account=Account(wiring.account), wallet=wiring.wallet, api_key=credentials.api_key
        )
        reads = Reads(
            rest=rest,
            outbox=outbox,
            ids=ids,
            feeds=self._feeds,
            raw_topic="user",
            clean=self._clean,
        )
        self.private = Private(
            wiring=wiring,
            venue=venue,
            reads=reads,
            credentials=credentials,
            fills=fills,
            cursor=cursor,
        )
        self._conn = ids()
        self._session = UserSession(
            credentials=credentials, fills=fills, silence_ms=wiring.silence_ms
        )
        self.stream = Stream(
            name=f"user:{self._conn}",
            url=venue.user_ws_url,
            session=self._session,
            perform=self._perform,
            keep=self._keep,
            clock_ns=time.time_ns,
            backoff=Backoff(random.random),
        )

    def _clean(self, body: bytes) -> bytes:
        return redact(body.decode(errors="replace"), self._credentials).encode()

    def _keep(self, raw: bytes, recv_ns: int) -> None:
        self._outbox.raw("user", self._clean(raw), recv_ns, self._conn)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Append():
                self._outbox.tape(effect.record, effect.key)
            case Quarantine():
                self._outbox.dead(effect.record)
            case Resync() if effect.why == "order_event":
                self.private.orders_poke.set()
            case Resync():
                if effect.why == "undecodable_frame":
                    self._feeds[OWN_TRADES].doubt(time.time_ns() // 1_000_000)
                self.private.resync()
            case _:
                raise AssertionError(f"a user session does not want {effect}")

    def feeds(self, now_ms: int) -> dict[str, FeedState]:
        """What a Tick says."""
        session = self._session
        user = socket_state(
            wanted=True, connected=session.connected, fresh_ms=session.fresh_ms, now_ms=now_ms
        )
        return {"user": user, **{name: feed.state(now_ms) for name, feed in self._feeds.items()}}

    async def run(self) -> None:
        """Channel and reads until cancelled; the first that fails ends the others."""
        wiring, private = self._wiring, self.private
        positions_poke, balance_poke = private.rest_poke
        async with asyncio.TaskGroup() as group:
            for part in (
                self.stream.run(),
                every(wiring.trades_poll_ms, private.trades_poke, private.read_trades),
                every(wiring.orders_poll_ms, private.orders_poke, private.read_orders),
                every(wiring.positions_poll_ms, positions_poke, private.read_positions),
                every(wiring.balance_poll_ms, balance_poke, private.read_balance),
            ):
                group.create_task(part)


def tape_began_ms(config: Mapping[str, Any], topic: str, shard: int) -> int:
    """When the oldest record of the tape was written; raises TimeoutError if there is none."""
    deadline = time.monotonic() + FIRST_RECORD_WAIT_S
    with PartitionReader(config, {(topic, shard): BEGINNING}, name="connector-tape") as reader:
        while time.monotonic() < deadline:
            for row in reader.read(1, 1.0):
                return row.timestamp_ms
    raise TimeoutError(f"{topic}/{shard} shows no record after {FIRST_RECORD_WAIT_S} s")


async def run_account(settings: Settings, stop: asyncio.Event) -> None:
    """Run until stop is set; raises what ended it otherwise."""
    kafka, wiring = settings.wiring.kafka, settings.wiring.account
    check_wiring(wiring)
    credentials = read_credentials(Path(wiring.credentials_file))
    producer = Producer(
        producer_config(kafka.bootstrap, linger_ms=kafka.linger_ms), name=wiring.producer
    )
    outbox = Outbox(producer, kafka)
    reading = consumer_config(
        kafka.bootstrap, group=f"truecopy-{wiring.producer}", fetch_wait_ms=kafka.fetch_wait_ms
    )
    started = ConnectorStarted(producer=wiring.producer, role="account")
    offset = await outbox.tape_acknowledged(started, wiring.producer)
    ids = Ids(wiring.producer, offset)
    LOG.info("connector=%s state=started instance=%s", wiring.producer, ids.instance)
    cursors = await asyncio.to_thread(
        read_cursors, reading, kafka.prefix + "cursors", frozenset({OWN_TRADES})
    )
    began_ms = await asyncio.to_thread(tape_began_ms, reading, kafka.prefix + "tape", kafka.shard)
    cursor = ReadCursor(
        start_ms=began_ms,
        upto_ms=cursors.get((OWN_TRADES, wiring.account)),
        overlap_ms=wiring.overlap_ms,
    )
    async with Rest(per_second=wiring.rest_per_second) as rest:
        feed = AccountFeed(
            settings, outbox=outbox, rest=rest, ids=ids, credentials=credentials, cursor=cursor
        )
        try:
            await run_until(
                stop,
                [
                    producer.keep_polling(),
                    tick_forever(
                        outbox,
                        producer=wiring.producer,
                        every_ms=wiring.tick_ms,
                        clock_ns=time.time_ns,
                        feeds=feed.feeds,
                    ),
                    feed.run(),
                ],
            )
        finally:
            missing = await asyncio.to_thread(producer.flush, FLUSH_S)
            LOG.info("connector=%s state=stopped unflushed=%d", wiring.producer, missing)
