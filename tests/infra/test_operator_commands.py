"""An operator's words on a broker with a real flow: obeyed without a restart, and told so."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connectors.kafka.config import producer_config
from connectors.kafka.producer import Producer
from infra.cli.main import cli
from infra.tape import rows_now
from infra.words import standing
from schemas import codec
from schemas.policy import LeaderPolicy
from schemas.records import journal
from schemas.records.base import Record
from schemas.wiring import KafkaWiring
from tests.core.tape import LEADER, OTHER, OWN, UP
from tests.core.world import World

READY_S = 150


@dataclass
class Shard:
    """A tape that a World writes, the flow on it, and the command line beside it."""

    kafka: KafkaWiring
    folder: Path
    world: World
    put_n: int = 0
    processes: list[Any] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TRUECOPY__KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "TRUECOPY__KAFKA__PREFIX": self.kafka.prefix,
            "TRUECOPY__FLOW__RECOVERY_DIR": str(self.folder / "recovery"),
            "TRUECOPY__FLOW__EPOCH_S": "0.3",
        }

    def put(self) -> None:
        """Append what the world has made since the last time."""
        producer = Producer(producer_config(self.kafka.bootstrap))
        for record in self.world.tape[self.put_n :]:
            producer.append(
                f"{self.kafka.prefix}tape",
                codec.encode(record),
                key=None,
                partition=0,
                headers=codec.headers(record),
            )
        assert producer.flush(READY_S) == 0
        self.put_n = len(self.world.tape)

    def start_flow(self) -> Any:
        with (self.folder / "flow.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli.main", "flow"],
                env={**os.environ, **self.environment},
                stderr=log,
            )
        self.processes.append(process)
        return process

    def said(self, *words: str) -> Result:
        """Run `truecopy` with these words, in this process."""
        return CliRunner().invoke(cli, list(words), env=self.environment)

    def on(self, topic: str) -> list[Record]:
        rows = rows_now(self.kafka, topic, 0)
        return [codec.unseal(row.value)[1] for row in rows if row.value]

    def wait_for(self, topic: str, wanted: Callable[[Any], bool]) -> Any:
        """The first record of a topic that is as wanted."""
        end = time.monotonic() + READY_S
        while True:
            found = next((record for record in self.on(topic) if wanted(record)), None)
            if found is not None:
                return found
            log = (self.folder / "flow.log").read_text()[-3000:]
            assert self.processes[-1].poll() is None, log
            assert time.monotonic() < end, log
            time.sleep(0.1)


@pytest.fixture
def shard(any_broker, topics, tmp_path: Path) -> Iterator[Shard]:
    for name in ("tape", "journal", "orders", "watch"):
        topics.make(name)
    kafka = KafkaWiring(
        bootstrap=any_broker.bootstrap, prefix=topics.prefix, linger_ms=5, fetch_wait_ms=5
    )
    shard = Shard(kafka, tmp_path, World())
    yield shard
    for process in shard.processes:
        process.kill()
        process.wait()


def test_words_are_obeyed_while_the_flow_runs_and_stand_when_it_does_not(shard: Shard) -> None:
    world = shard.world.begin(leaders=())
    shard.put()
    flow = shard.start_flow()
    shard.wait_for("journal", lambda e: isinstance(e, journal.PolicyAdopted))

    followed = shard.said(
        *("follow", LEADER, "--ratio", "0.1", "--cap", "500", "--name", "quick", "--wait", "60")
    )
    assert (followed.exit_code, "in force: Follow" in followed.output) == (0, True), followed.output
    shard.wait_for("journal", lambda e: isinstance(e, journal.LeaderFollowed))
    watched = shard.wait_for("watch", lambda e: e.subject == LEADER)
    assert (watched.on, watched.why) == (True, "followed")

    halted = shard.said("halt", "leader", "quick", "--reason", "lunch", "--wait", "60")
    assert halted.exit_code == 0, halted.output
    world.follow()  # so that the world's own fold knows him too; never put on the tape
    shard.put_n = len(world.tape)
    world.fills("500")
    world.wait(2_000)
    shard.put()
    held = shard.wait_for("journal", lambda e: isinstance(e, journal.OrderHeld))
    assert (held.reason, held.token) == ("halted", UP)
    listed = json.loads(shard.said("leaders", "--json").stdout)
    (line,) = listed["leaders"]
    assert (line["leader"], line["terms"]["ratio_micro"], line["terms"]["name"]) == (
        LEADER,
        100_000,
        "quick",
    )
    assert line["state"].startswith("leader halted at ")
    assert line["source"].startswith("word at ")
    assert LEADER in shard.said("leaders").stdout, "a wallet is not cut, however narrow the screen"

    resumed = shard.said("resume", "leader", "quick", "--reason", "fed", "--wait", "60")
    assert resumed.exit_code == 0, resumed.output
    order = shard.wait_for("orders", lambda e: isinstance(e, journal.OrderRequested))
    assert (order.token, order.side, order.shares_micro) == (UP, "BUY", 50_000_000)

    shown = shard.said("topics", "tail", "tape", "--kind", "Halt")
    assert "leader quick (0x11111111) for every account: lunch" in shown.stdout
    unfollowed = shard.said("unfollow", "quick", "--yes", "--wait", "60")
    assert unfollowed.exit_code == 0, unfollowed.output
    shard.wait_for("journal", lambda e: isinstance(e, journal.LeaderUnfollowed))

    flow.send_signal(signal.SIGTERM)
    assert flow.wait(READY_S) == 0
    late = shard.said("halt", "account", "main", "--reason", "stop", "--wait", "0.5")
    assert late.exit_code == 3
    assert "Halt stands on the tape at" in late.output
    assert standing(shard.kafka).words.halted("account", "main", "main") is not None


def journal_on(shard: Shard, count: int) -> None:
    """Put the first records of the world's journal on the broker."""
    sealed = [each for each in shard.world.sealed if each.topic == "journal"]
    producer = Producer(producer_config(shard.kafka.bootstrap))
    for each in sealed[:count]:
        producer.append(
            f"{shard.kafka.prefix}journal",
            each.value,
            key=each.key,
            partition=0,
            headers=each.headers,
        )
    assert producer.flush(READY_S) == 0


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_what_is_in_force_is_read_as_the_fold_sees_it(shard: Shard, share: float) -> None:
    """From the tape alone, and from a Summary that says part or all of it."""
    world = shard.world.begin(leaders=(LeaderPolicy(wallet=LEADER, name="quick"),))
    world.follow(OTHER, "0.3", "77")
    world.halt("token", UP)
    world.halt("leader", OTHER, "main")
    world.wait(20_000)
    world.unfollow()
    world.resume("leader", OTHER)
    world.policy(quiet_ms=300)
    world.follow(OWN)
    world.wait(20_000)
    world.halt("account", "main")
    shard.put()
    journal_on(shard, int(share * len([s for s in world.sealed if s.topic == "journal"])))
    found = standing(shard.kafka)
    plan = world.state.plan
    assert found.words == plan.words
    assert found.document == plan.policy
    assert (found.summary is None) == (share == 0.0)
    assert [one for _, one in found.follows()] == list(plan.accounts["main"].followed)


def test_a_command_refuses_what_the_decisions_would_refuse(shard: Shard) -> None:
    terms = ("--ratio", "0.1", "--cap", "50", "--wait", "0.1")
    empty = shard.said("follow", LEADER, *terms)
    assert (empty.exit_code, "truecopy policy apply" in empty.output) == (1, True), empty.output
    shard.world.begin()
    shard.put()
    for words, why in (
        (("follow", OWN, *terms), "one of our own"),
        (("follow", "0x12", *terms), "40 hex digits"),
        (("follow", LEADER, "--account", "nobody", *terms), "no account 'nobody'; main"),
        (("unfollow", OTHER, "--yes"), f"main does not follow {OTHER}"),
        (("halt", "account", "nobody", "--reason", "x"), "no such account"),
        (("halt", "leader", OTHER, "--reason", "x"), f"nobody follows {OTHER}"),
        (("halt", "token", "12", "--reason", "x"), "give the whole token"),
        (("resume", "account", "main", "--reason", "x"), "it is not halted"),
    ):
        result = shard.said(*words)
        assert result.exit_code == 1, words
        assert why in result.output, (words, result.output)
    asked = CliRunner().invoke(cli, ["unfollow", LEADER], env=shard.environment, input="n\n")
    assert (asked.exit_code, "unfollows" in asked.output) == (1, True)
    for words in (("follow", LEADER), ("halt", "account", "main")):
        assert shard.said(*words).exit_code == 2, "terms and reasons are not guessed"
    assert len(list(rows_now(shard.kafka, "tape", 0))) == len(shard.world.tape)


def test_a_policy_of_two_accounts_is_not_put_on_the_tape(shard: Shard) -> None:
    """Nobody would serve the second, and the first's feeds would vouch for it."""
    settings = shard.folder / "two.toml"
    settings.write_text(
        f"""
        [[policy.accounts]]
        name = "main"
        wallet = "{OWN}"
        [[policy.accounts]]
        name = "second"
        wallet = "{OTHER}"
        """
    )
    answer = shard.said("--config", str(settings), "policy", "apply")
    assert answer.exit_code == 1
    assert "policy.accounts: main, second stand in one shard" in answer.output
    assert len(list(rows_now(shard.kafka, "tape", 0))) == len(shard.world.tape)


def test_applying_a_policy_names_the_words_that_win_over_it(shard: Shard) -> None:
    settings = shard.folder / "settings.toml"
    settings.write_text(
        f"""
        [[policy.accounts]]
        name = "main"
        wallet = "{OWN}"
        [[policy.accounts.leaders]]
        wallet = "{LEADER}"
        """
    )
    apply = ("--config", str(settings), "policy", "apply")
    assert shard.said(*apply).output == "policy v1 appended\n"
    shard.said("unfollow", LEADER, "--yes", "--wait", "0.1")
    shard.said("follow", OTHER, "--ratio", "0.3", "--cap", "50", "--wait", "0.1")
    shard.said("halt", "account", "main", "--reason", "x", "--wait", "0.1")
    assert shard.said(*apply).output.splitlines() == [
        "policy v1 is in force already",
        f"words win over the file: main does not follow {LEADER}, by the word at 2",
        f"words win over the file: main follows {OTHER} at ratio 0.3, by the word at 3",
        "words win over the file: halted: account main at 4",
    ]
