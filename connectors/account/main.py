"""The account connector process: parts put together, nothing decided here.

It holds the API credentials of one account and never a signing key. Order: tape and cursor are
looked up, it announces itself on the tape (that record's offset makes its instance), then it reads
until told to stop. Whatever fails ends the process, the first undelivered record above all; what
stands is read back by the next one. No credential reaches a topic, a log line or an error.
"""

import asyncio
import logging
import random
import threading
import time
from pathlib import Path

from connectors.account.channel import USER, Channel
from connectors.account.poll import Poll
from connectors.account.private import PrivateReads
from connectors.account.redemptions import REDEMPTIONS, REREAD_MS, Redemptions
from connectors.account.reports import BALANCE, ORDERS, POSITIONS, Reports
from connectors.account.start import Begun, begun
from connectors.account.trades import TRADES, Trades
from connectors.kafka.config import consumer_config, producer_config
from connectors.kafka.producer import Producer, undelivered
from connectors.polymarket.backoff import Backoff
from connectors.polymarket.credentials import Credentials, read_credentials
from connectors.polymarket.cursors import ReadCursor
from connectors.polymarket.health import ReadFeed
from connectors.polymarket.outbox import Ids, Outbox
from connectors.polymarket.own_fills import OwnFills
from connectors.polymarket.process import run_until, tick_forever
from connectors.polymarket.reads import Reads
from connectors.polymarket.redact import redact
from connectors.polymarket.rest import Rest
from connectors.polymarket.user import ORDER_EVENT, UserSession
from connectors.polymarket.wire import BadValue, wallet
from connectors.telemetry.clients import away, export_producer
from connectors.telemetry.feeds import FeedBoard
from connectors.telemetry.health import beating
from connectors.telemetry.server import Telemetry
from schemas.records.base import Account, Wallet
from schemas.records.system import ConnectorStarted, FeedState
from schemas.settings import Settings, SettingsError
from schemas.wiring import AccountWiring

LOG = logging.getLogger(__name__)
FLUSH_S = 2.0
"""More than the longest wait before a record is sent again (a second, librdkafka's default)."""
STALE_POLLS = 4
"""A read feed is down after so many intervals without an answer."""


class AccountFeeds:
    """All parts of one process, wired together."""

    def __init__(
        self,
        settings: Settings,
        *,
        credentials: Credentials,
        outbox: Outbox,
        rest: Rest,
        ids: Ids,
        start: Begun,
    ) -> None:
        wiring, venue = settings.wiring.account, settings.wiring.venue
        account, funds, signer = identity(wiring)
        intervals = {
            TRADES: wiring.trades_poll_ms,
            ORDERS: wiring.orders_poll_ms,
            POSITIONS: wiring.positions_poll_ms,
            BALANCE: wiring.balance_poll_ms,
            REDEMPTIONS: wiring.redemptions_poll_ms,
        }
        self._feeds = {name: ReadFeed(STALE_POLLS * ms) for name, ms in intervals.items()}
        for feed in self._feeds.values():
            feed.follow(account)

        def clean(body: bytes) -> bytes:
            return redact(body.decode(errors="replace"), credentials).encode()

        reads = Reads(
            rest=rest, outbox=outbox, ids=ids, feeds=self._feeds, raw_topic=USER, clean=clean
        )
        private = PrivateReads(
            reads=reads,
            clob_url=venue.clob_url,
            account=account,
            signer=signer,
            credentials=credentials,
        )
        fills = OwnFills(account=account, wallet=funds, api_key=credentials.api_key)
        self.channel = Channel(
            session=UserSession(credentials=credentials, fills=fills, silence_ms=wiring.silence_ms),
            url=venue.user_ws_url,
            outbox=outbox,
            ids=ids,
            clock_ns=time.time_ns,
            clean=clean,
            proof=self._feeds[TRADES],
            resync=self._resync,
        )
        cursor = ReadCursor(
            start_ms=start.tape_ms,
            upto_ms=start.upto_ms.get(TRADES),
            overlap_ms=wiring.overlap_ms,
        )
        trades = Trades(private, fills=fills, cursor=cursor, on_news=self.channel.rest_said)
        reports = Reports(
            private,
            wallet=funds,
            data_url=venue.data_url,
            signature_type=wiring.signature_type,
        )
        redemptions = Redemptions(
            private,
            wallet=funds,
            data_url=venue.data_url,
            cursor=ReadCursor(
                start_ms=start.tape_ms,
                upto_ms=start.upto_ms.get(REDEMPTIONS),
                overlap_ms=REREAD_MS,
            ),
        )
        works = {
            TRADES: trades.read,
            ORDERS: reports.orders,
            POSITIONS: reports.positions,
            BALANCE: reports.balance,
            REDEMPTIONS: redemptions.read,
        }
        self.polls = {
            name: Poll(
                feed=self._feeds[name],
                interval_ms=intervals[name],
                work=work,
                backoff=Backoff(random.random),
                now_ms=rest.now_ms,
            )
            for name, work in works.items()
        }

    def _resync(self, why: str) -> None:
        for name, poll in self.polls.items():
            if why != ORDER_EVENT or name == ORDERS:
                poll.poke()

    def feeds(self, now_ms: int) -> dict[str, FeedState]:
        """What a Tick says."""
        reads = {name: feed.state(now_ms) for name, feed in self._feeds.items()}
        return {USER: self.channel.state(now_ms), **reads}


def identity(wiring: AccountWiring) -> tuple[Account, Wallet, str]:
    """Our name for the account, the wallet with its funds, and the signer as the venue knows it."""
    try:
        funds = wallet(wiring.wallet)
        signer = wiring.signer or wiring.wallet
        wallet(signer)
    except BadValue as error:
        raise SettingsError(f"account.wallet and account.signer: {error}") from error
    return Account(wiring.account), funds, signer


class Said:
    """What the process says of itself: conditions of readiness, and the feeds of its Ticks."""

    def __init__(self, producer: Producer, prefix: str) -> None:
        self.telemetry = Telemetry("account")
        ready = self.telemetry.readiness
        self.announced = ready.latch("announced", "not on the tape yet")
        self.board = FeedBoard()
        self.board.export(self.telemetry)
        ready.require("feeds", self.board.silent)
        ready.require("kafka", lambda: away(producer.health))
        export_producer(self.telemetry, producer, prefix)


async def run_account(settings: Settings, stop: asyncio.Event) -> None:
    """Run until stop is set; raises what ended it otherwise."""
    # At DEBUG it quotes frames, and the first frame of the user channel is made of secrets.
    quoting = logging.getLogger("websockets")
    quoting.setLevel(max(quoting.getEffectiveLevel(), logging.INFO))
    kafka, wiring = settings.wiring.kafka, settings.wiring.account
    identity(wiring)
    credentials = read_credentials(Path(wiring.credentials_file))
    producer = Producer(
        producer_config(kafka.bootstrap, linger_ms=kafka.linger_ms), name=wiring.producer
    )
    said = Said(producer, kafka.prefix)
    with said.telemetry.served(settings.wiring.health):
        running = _run(settings, credentials, producer, said)
        await run_until(stop, [beating(said.telemetry.heart), running])
    missing = await asyncio.to_thread(producer.flush, FLUSH_S)
    LOG.info("connector=%s state=stopped unflushed=%d", wiring.producer, missing)
    if missing:
        raise undelivered(f"any of {missing}", f"no acknowledgement in {FLUSH_S} s")


async def _run(
    settings: Settings, credentials: Credentials, producer: Producer, said: Said
) -> None:
    """Begin, then run all parts until cancelled or one fails."""
    kafka, wiring = settings.wiring.kafka, settings.wiring.account
    start = await _begun(settings)
    outbox = Outbox(producer, kafka)
    outbox.counts.export(said.telemetry)
    started = ConnectorStarted(producer=wiring.producer, role="account")
    offset = await outbox.tape_acknowledged(started, wiring.producer)
    ids = Ids(wiring.producer, offset)
    LOG.info("connector=%s state=started instance=%s", wiring.producer, ids.instance)
    said.announced()
    async with Rest(per_second=wiring.rest_per_second) as rest:
        said.telemetry.metrics.read("rest_requests_total", lambda: rest.counts)
        said.telemetry.metrics.read("rest_wait_seconds", lambda: rest.wait_ms / 1_000)
        account = AccountFeeds(
            settings, credentials=credentials, outbox=outbox, rest=rest, ids=ids, start=start
        )
        ticks = tick_forever(
            outbox,
            producer=wiring.producer,
            every_ms=wiring.tick_ms,
            clock_ns=time.time_ns,
            feeds=said.board.watching(account.feeds),
            account=Account(wiring.account),
        )
        polls = [poll.run() for poll in account.polls.values()]
        await run_until(
            asyncio.Event(), [producer.keep_polling(), ticks, account.channel.run(), *polls]
        )


async def _begun(settings: Settings) -> Begun:
    """What Kafka knows of the tape and of our cursors; cancelled, the thread ends soon after."""
    kafka, wiring = settings.wiring.kafka, settings.wiring.account
    config = consumer_config(
        kafka.bootstrap, group=f"truecopy-{wiring.producer}", fetch_wait_ms=kafka.fetch_wait_ms
    )
    halt = threading.Event()
    try:
        return await asyncio.to_thread(begun, config, kafka, wiring.account, halt)
    finally:
        halt.set()
