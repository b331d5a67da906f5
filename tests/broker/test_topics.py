"""Topics: one declaration, applied idempotently, repaired where it differs, never repartitioned."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from connectors.kafka.config import MESSAGE_MAX_BYTES, admin_config
from infra.cli.main import cli
from infra.embedded import EmbeddedBroker
from infra.topics import EMBEDDED, Found, Topic, TopicsRefused, apply, declared, plan

TAPE = Topic(
    purpose="a test",
    partitions=1,
    cleanup="delete",
    retention_ms=-1,
    compression="zstd",
    max_message_bytes=1_000,
)


def as_declared(topic: Topic, **differing: str) -> Found:
    lines = {key.replace("_", "."): value for key, value in differing.items()}
    return Found(partitions=topic.partitions, config={**topic.config(), "other.key": "x", **lines})


def test_nothing_is_forgotten_by_accident() -> None:
    wanted = declared()
    for name in ("tape", "journal", "orders"):
        assert wanted[name].config()["retention.ms"] == "-1"
        assert wanted[name].config()["retention.bytes"] == "-1"
        assert wanted[name].cleanup == "delete"
    assert [name for name, topic in wanted.items() if topic.cleanup == "compact"] == [
        "watch",
        "cursors",
    ]
    assert all(topic.compression == "zstd" and topic.purpose for topic in wanted.values())


def test_what_is_superseded_stays_for_a_day_in_the_compacted_topics() -> None:
    for name, topic in declared().items():
        lag = topic.config().get("min.compaction.lag.ms")
        assert lag == ("86400000" if topic.cleanup == "compact" else None), name


def test_no_topic_takes_more_than_the_producer_may_send() -> None:
    assert max(t.max_message_bytes for t in declared().values()) == MESSAGE_MAX_BYTES


def test_partitions_follow_the_shards_only_where_a_flow_writes_in_order() -> None:
    counts = {name: topic.partitions for name, topic in declared("x.", shards=3).items()}
    assert counts == {
        "x.tape": 3,
        "x.journal": 3,
        "x.orders": 3,
        "x.watch": 3,
        "x.cursors": 1,
        "x.raw.market": 16,
        "x.raw.activity": 16,
        "x.raw.data": 16,
        "x.raw.user": 16,
        "x.dead": 1,
    }


@pytest.mark.parametrize(
    ("found", "embedded", "action", "detail"),
    [
        (None, False, "create", "1 partitions, delete"),
        (None, True, "refuse", "missing: the embedded broker makes its topics when it starts"),
        (as_declared(TAPE), False, "keep", "as declared"),
        (Found(partitions=1, config=None), True, "keep", "no configuration to check"),
        (as_declared(TAPE, retention_ms="5"), False, "alter", "retention.ms 5 -> -1"),
        (as_declared(TAPE, cleanup_policy="compact"), False, "alter", "compact -> delete"),
        (Found(partitions=2, config=TAPE.config()), False, "refuse", "has 2 partitions, 1 are"),
        (Found(partitions=2, config=None), True, "refuse", "has 2 partitions, 1 are declared"),
    ],
)
def test_a_topic_is_made_repaired_kept_or_refused(
    found: Found | None, embedded: bool, action: str, detail: str
) -> None:
    [step] = plan({"tape": TAPE}, {"tape": found} if found else {}, embedded=embedded)
    assert (step.topic, step.action) == ("tape", action)
    assert detail in step.detail


def test_only_what_differs_is_set() -> None:
    [step] = plan({"tape": TAPE}, {"tape": as_declared(TAPE, retention_ms="5")}, embedded=False)
    assert step.changes == {"retention.ms": "-1"}


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest) -> str:
    """A broker with topic configuration."""
    bootstrap: str = request.getfixturevalue("kafka")
    cluster = AdminClient(admin_config(bootstrap)).list_topics(timeout=60).cluster_id
    if (cluster or "").startswith(EMBEDDED):
        pytest.skip("the embedded broker has no topic configuration")
    return bootstrap


def set_config(bootstrap: str, topic: str, key: str, value: str) -> None:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(admin_config(bootstrap))
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(15)


def test_apply_creates_then_changes_nothing_then_repairs_what_was_changed(
    real: str, topics: Any
) -> None:
    names = list(declared(topics.prefix))
    topics.made.extend(names)
    first = apply(real, prefix=topics.prefix)
    assert [(s.topic, s.action) for s in first] == [(name, "create") for name in names]
    assert {s.action for s in apply(real, prefix=topics.prefix)} == {"keep"}
    set_config(real, f"{topics.prefix}tape", "retention.ms", "1000")
    set_config(real, f"{topics.prefix}tape", "retention.bytes", "1000")
    repaired = [s for s in apply(real, prefix=topics.prefix) if s.action != "keep"]
    assert [(s.topic, s.changes) for s in repaired] == [
        (f"{topics.prefix}tape", {"retention.ms": "-1", "retention.bytes": "-1"})
    ]
    assert {s.action for s in apply(real, prefix=topics.prefix)} == {"keep"}


def test_another_partition_count_is_refused_and_nothing_is_changed(real: str, topics: Any) -> None:
    topics.make("tape", partitions=2)
    with pytest.raises(TopicsRefused, match=r"nothing was changed: topic \S+tape has 2 partitions"):
        apply(real, prefix=topics.prefix)
    known = AdminClient(admin_config(real)).list_topics(timeout=60).topics
    assert [name for name in known if name.startswith(topics.prefix)] == [f"{topics.prefix}tape"]


def test_the_command_says_what_it_did_for_each_topic_and_what_comes_next(
    real: str, topics: Any
) -> None:
    topics.made.extend(declared(topics.prefix))
    arguments = ["topics", "apply", "--bootstrap", real, "--prefix", topics.prefix]
    runner = CliRunner()
    first = runner.invoke(cli, arguments)
    assert first.exit_code == 0, first.output
    *lines, after = first.output.splitlines()
    assert [line.split()[0] for line in lines] == ["created"] * 10
    assert after.startswith("next: `truecopy policy apply`")
    environment = {"TRUECOPY_KAFKA": real, "TRUECOPY__KAFKA__PREFIX": topics.prefix}
    second = runner.invoke(cli, ["topics", "apply"], env=environment)
    assert second.exit_code == 0, second.output
    assert [line.split()[0] for line in second.output.splitlines()[:-1]] == ["kept"] * 10


@pytest.mark.parametrize(
    ("prefix", "options"),
    [("{prefix}", []), ("not-made.", ["--prefix", "{prefix}"])],
    ids=["as in the file", "an option overrides it"],
)
def test_the_command_takes_broker_and_prefix_from_the_settings_file(
    any_broker: Any, topics: Any, tmp_path: Path, prefix: str, options: list[str]
) -> None:
    mine = topics.declare()
    file = tmp_path / "truecopy.toml"
    wanted = prefix.format(prefix=mine)
    file.write_text(f'[kafka]\nbootstrap = "{any_broker.bootstrap}"\nprefix = "{wanted}"\n')
    words = [option.format(prefix=mine) for option in options]
    environment = {"TRUECOPY_KAFKA": None, "TRUECOPY__KAFKA__PREFIX": None}
    done = CliRunner().invoke(cli, ["-c", str(file), "topics", "apply", *words], env=environment)
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.output.splitlines()[:-1]] == [
        ["kept", name] for name in declared(mine)
    ]


def test_the_command_refuses_shards_on_living_topics_with_a_code(real: str, topics: Any) -> None:
    topics.make("journal", partitions=1)
    arguments = ["topics", "apply", "--bootstrap", real, "--prefix", topics.prefix, "--shards", "2"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1
    assert "journal has 1 partitions, 2 are declared" in done.output


def test_a_test_that_declares_its_topics_has_what_apply_would_make(
    any_broker: Any, topics: Any
) -> None:
    prefix = topics.declare(shards=2)
    steps = apply(any_broker.bootstrap, prefix=prefix, shards=2)
    assert {step.action for step in steps} == {"keep"}


def test_the_embedded_broker_is_only_checked(embedded: EmbeddedBroker) -> None:
    for name, topic in declared("demo.").items():
        embedded.create_topic(name, topic.partitions)
    assert {step.action for step in apply(embedded.bootstrap, prefix="demo.")} == {"keep"}
    with pytest.raises(TopicsRefused, match="topic tape missing: the embedded broker"):
        apply(embedded.bootstrap)
