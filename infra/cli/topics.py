"""`truecopy topics`: make the broker's topics, count them, and read what stands in them."""

import difflib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import click
import msgspec
from confluent_kafka import KafkaException
from rich.console import Console

from connectors.kafka.errors import KafkaFailed
from infra.cli.lazy import LazySettings
from infra.inspect.broker import Broker, Topic, UnknownTopic
from infra.inspect.counts import counted
from infra.inspect.dead import dead_json, dead_line
from infra.inspect.filters import Filter
from infra.inspect.human import RAW_SHOWN
from infra.inspect.lines import Item, Line, json_of, line_of, shape_of
from infra.inspect.names import Names
from infra.inspect.places import HELP, At, PlaceError, Since, parse_place
from infra.inspect.reading import BeyondEnd
from infra.inspect.table import table_of
from infra.inspect.tail import Tail, TapeNames
from infra.topics import TopicsRefused, apply
from schemas import codec, export
from schemas.wiring import KafkaWiring

LAST = 20
NEXT_STEPS = (
    "next: `truecopy policy apply` begins the tape; `truecopy topics list` shows what stands"
)
FAMILIES = (
    ("tape", codec.TAPE),
    ("journal, orders", codec.JOURNAL),
    ("watch, cursors", codec.COMPACTED),
    ("dead", codec.QUARANTINE),
)


@click.group()
def topics() -> None:
    """The broker's topics: make them, count them, read them."""


@contextmanager
def plainly(kafka: KafkaWiring) -> Iterator[None]:
    """Failures as one line; a reader of our output that went away ends us quietly."""
    try:
        yield
    except (UnknownTopic, BeyondEnd, TopicsRefused) as refused:
        raise click.ClickException(str(refused)) from refused
    except (KafkaFailed, KafkaException) as failed:
        raise click.ClickException(f"Kafka at {kafka.bootstrap}: {failed}") from failed
    except BrokenPipeError:
        # Python would flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@topics.command("apply")
@click.option("--bootstrap", help="Address of a broker, host:port; kafka.bootstrap by default.")
@click.option("--prefix", help="Goes before every topic name; kafka.prefix by default.")
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Partitions of tape, journal, orders and watch; never changed on living topics.",
)
@click.pass_obj
def apply_command(
    settings: LazySettings, bootstrap: str | None, prefix: str | None, shards: int
) -> None:
    """Create what is missing, repair what differs; refuses to change a partition count."""
    kafka = settings().wiring.kafka
    kafka = msgspec.structs.replace(
        kafka,
        bootstrap=kafka.bootstrap if bootstrap is None else bootstrap,
        prefix=kafka.prefix if prefix is None else prefix,
    )
    with plainly(kafka):
        steps = apply(kafka.bootstrap, prefix=kafka.prefix, shards=shards)
    done = {"create": "created", "alter": "altered", "keep": "kept"}
    for step in steps:
        click.echo(f"{done[step.action]:8} {step.topic:24} {step.detail}")
    click.echo(NEXT_STEPS)


@topics.command("list")
@click.option("--json", "json_", is_flag=True, help="For other programs.")
@click.pass_obj
def list_command(settings: LazySettings, json_: bool) -> None:
    """Records, bytes, retention, partitions, and how far each process is behind."""
    wiring = settings().wiring
    with plainly(wiring.kafka):
        rows, notes = counted(Broker(wiring.kafka), wiring)
    if json_:
        click.echo(msgspec.json.encode(rows))
        return
    console = Console() if sys.stdout.isatty() else Console(width=130)
    console.print(table_of(rows))
    for note in notes:
        console.print(f"note: {note}", style="dim", highlight=False, markup=False)


def _kinds(
    context: click.Context, option: click.Parameter, kinds: tuple[str, ...]
) -> frozenset[str]:
    return frozenset(map(known_kind, kinds))


def known_kind(kind: str) -> str:
    """The kind as it is spelled; a UsageError names the nearest one of a kind there is none of."""
    exact = {name.lower(): name for name in codec.KINDS}
    if kind.lower() in exact:
        return exact[kind.lower()]
    near = difflib.get_close_matches(kind.lower(), exact, n=1, cutoff=0.0)[0]
    raise click.UsageError(f"there is no kind {kind!r}; did you mean {exact[near]}?")


def _place(context: click.Context, option: click.Parameter, text: str | None) -> At | Since | None:
    try:
        return None if text is None else parse_place(text, time.time_ns() // 1_000_000)
    except PlaceError as error:
        raise click.UsageError(str(error)) from error


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of the commands that read a topic: where from, how many, whether to go on."""
    for option in (
        click.option("--json", "json_", is_flag=True, help="One JSON object a line."),
        click.option("--follow", "-f", is_flag=True, help="Go on with what is appended."),
        click.option(
            "--last", "-n", type=click.IntRange(min=1), help=f"The last N; {LAST} by default."
        ),
        click.option("--from", "place", callback=_place, help=f"Begin at {HELP}. Times are UTC."),
    ):
        command = option(command)
    return command


class Reading(NamedTuple):
    """Where to begin, how many of the last, and whether to go on; what reading_options ask for."""

    place: At | Since | None
    last: int | None
    follow: bool


@topics.command("tail")
@click.argument("topic")
@click.option(
    "--kind", "-k", "kinds", multiple=True, callback=_kinds, help="Only this kind; again for more."
)
@click.option("--account", default="", help="Only what concerns this account of ours.")
@click.option("--leader", default="", help="Only this wallet: its beginning, or its name.")
@click.option("--token", default="", help="Only tokens that begin so.")
@click.option("--market", default="", help="Only markets whose id begins so or title has this.")
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition.")
@reading_options
@click.pass_obj
def tail_command(
    settings: LazySettings,
    topic: str,
    kinds: frozenset[str],
    account: str,
    leader: str,
    token: str,
    market: str,
    partition: int | None,
    place: At | Since | None,
    last: int | None,
    follow: bool,
    json_: bool,
) -> None:
    """Show records of TOPIC in human units, offset first; the last 20 unless told otherwise.

    Filters add up. What cannot be decoded is always shown, with the reason and its bytes.
    """
    loaded = settings()
    kafka = loaded.wiring.kafka
    wanted = Filter(kinds=kinds, account=account, leader=leader, token=token, market=market)
    with plainly(kafka):
        broker = Broker(kafka)
        found = broker.topic(topic)
        _check_asked(found, wanted, partition, place)
        places = found.places if partition is None else [(found.name, partition)]
        names = Names()
        names.learn_policy(loaded.policy)
        needed = shape_of(found.short) != "frame" and not (json_ and not (leader or market))
        tail = Tail(broker, places, wanted, TapeNames(broker, names) if needed else None)
        if market and needed and not names.conditions(market):
            click.echo(f"no market seen so far is {market!r}: its title is not known yet", err=True)

        def shown(item: Item) -> str:
            if json_:
                return json_of(item, tail.shape)
            return _styled(line_of(item, tail.shape, names, partitions=len(places)))

        _show(tail, Reading(place, last, follow), shown)


def _check_asked(
    topic: Topic, wanted: Filter, partition: int | None, place: At | Since | None
) -> None:
    if partition is not None and partition >= topic.partitions:
        raise click.UsageError(f"{topic.name} has {topic.partitions} partitions, from 0 on")
    if isinstance(place, At) and partition is None and topic.partitions > 1:
        raise click.UsageError(
            f"{topic.name} has {topic.partitions} partitions, each with offsets of its own: name "
            "one with --partition, or give a time"
        )
    if shape_of(topic.short) == "frame" and (wanted.kinds or wanted.account):
        raise click.UsageError(
            f"{topic.name} holds frames as received, which have no kind and no account; --leader, "
            "--token and --market look for their text in the bytes"
        )


def _show(tail: Tail, reading: Reading, shown: Callable[[Item], str]) -> None:
    place, last, follow = reading
    if place is not None and last is not None:
        raise click.UsageError("give --from or --last, not both")
    items = tail.last(last or LAST) if place is None else tail.since(place)
    try:
        for item in chain(items, tail.follow() if follow else ()):
            click.echo(shown(item))
    except KeyboardInterrupt:
        if not follow:  # the way to end a --follow is no failure
            raise


def _styled(line: Line) -> str:
    loud = line.colour in ("red", "yellow")
    return (
        f"{line.place:<9} {click.style(line.time, dim=True)} "
        f"{click.style(f'{line.kind:<17}', fg=line.colour, bold=True)} "
        f"{click.style(line.text, fg=line.colour) if loud else line.text}"
    )


@topics.command("dead")
@click.option("--full", is_flag=True, help="All bytes, not only the first.")
@reading_options
@click.pass_obj
def dead_command(
    settings: LazySettings,
    full: bool,
    place: At | Since | None,
    last: int | None,
    follow: bool,
    json_: bool,
) -> None:
    """What could not be decoded: when, which feed, why, and the bytes as received."""
    kafka = settings().wiring.kafka
    limit = 0 if full else RAW_SHOWN
    with plainly(kafka):
        broker = Broker(kafka)
        tail = Tail(broker, broker.topic("dead").places, Filter(), None)

        def shown(item: Item) -> str:
            return dead_json(item) if json_ else _styled(dead_line(item, limit))

        _show(tail, Reading(place, last, follow), shown)


@topics.command("schema")
@click.argument("kind", required=False)
def schema_command(kind: str | None) -> None:
    """The JSON Schema of KIND; without it, the kinds there are."""
    if kind is not None:
        click.echo(export.rendered(known_kind(kind)), nl=False)
        return
    for family, kinds in FAMILIES:
        for cls in kinds:
            said = (cls.__doc__ or "").partition("\n")[0]
            click.echo(f"{family:16} {cls.__name__:20} {said}")
