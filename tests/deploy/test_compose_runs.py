"""Each project service's own command, with its own environment, as a process against a real Kafka.

Health checks are the compose file's own; so are entry points, ports and secrets. What Docker itself
would add (isolation, a read-only root, capabilities) is not shown here, only that nothing needs it
to be otherwise: each process gets its service's environment and no other.
"""

import re
from collections.abc import Callable
from urllib.request import urlopen

from connectors.telemetry.names import METRICS, PREFIX
from tests.deploy.compose import ONCE, PROCESSES, Container
from tests.deploy.conftest import READY_S, Deployed

Deploy = Callable[..., Deployed]
Eventually = Callable[[Callable[[], bool], str], None]
TYPE = re.compile(rf"^# TYPE {PREFIX}(\w+)", re.MULTILINE)


def prepared(deployed: Deployed) -> None:
    """The two services that end, in their order."""
    for name in ONCE:
        once = deployed.container(name)
        once.start()
        assert once.ended(READY_S) == 0, once.said


def metrics_of(process: Container) -> str:
    """Its /metrics, at the address of its health check."""
    found = re.search(r"http://[\w.:]+/", process.health[-1])
    assert found is not None
    with urlopen(found[0] + "metrics", timeout=READY_S) as answer:
        text: str = answer.read().decode()
    return text


def seen(processes: dict[str, Container]) -> set[str]:
    """Metrics that any of the processes has, by the names of the table."""
    found = {name for each in processes.values() for name in TYPE.findall(metrics_of(each))}
    return {name if name in METRICS else f"{name}_total" for name in found}


def test_every_live_service_becomes_healthy_by_its_own_check_and_ends_cleanly(
    deployed: Deploy, eventually: Eventually
) -> None:
    """All five, with every metric that alerts and dashboard use, and no secret in what they say."""
    live = deployed(live=True)
    prepared(live)
    with live.running(*PROCESSES) as processes:
        for each in processes.values():
            each.wait_healthy(READY_S)
        eventually(
            lambda: set(METRICS) <= seen(processes), f"{sorted(METRICS)} at one process or another"
        )
        for each in processes.values():
            each.terminate()
        codes = {name: each.ended(READY_S) for name, each in processes.items()}
    assert codes == dict.fromkeys(PROCESSES, 0)
    for each in processes.values():
        assert not [secret for secret in live.secrets if secret in each.said], each.name
    assert any((live.folder / "recovery").glob("*.sqlite3"))
    assert list((live.folder / "archive").rglob("*.parquet"))


def test_execution_on_paper_is_healthy_without_a_secret_and_sees_the_stop_file(
    deployed: Deploy, eventually: Eventually
) -> None:
    """The stop folder is mounted; what an operator touches on the host is there at once."""
    paper = deployed(live=False)
    prepared(paper)
    with paper.running("execution") as processes:
        execution = processes["execution"]
        execution.wait_healthy(READY_S)
        assert f"{PREFIX}stop_file 0.0" in metrics_of(execution)
        (paper.folder / "stop" / "STOP").touch()
        eventually(lambda: f"{PREFIX}stop_file 1.0" in metrics_of(execution), "the stop file")
        assert execution.stop() == 0


def test_live_without_a_key_is_held_and_never_healthy(
    deployed: Deploy, eventually: Eventually
) -> None:
    """Flag and backend alone are two of three yeses; the file in the key's place is refused."""
    live = deployed(live=True, key=False)
    with live.running("execution") as processes:
        execution = processes["execution"]
        eventually(lambda: "state=held code=2" in execution.said, "held")
        assert "RUNBOOK.md#live-refused" in execution.said
        assert not execution.healthy()
        assert execution.stop() == 2


def test_a_second_flow_of_a_shard_is_held_until_an_operator_acts(
    deployed: Deploy, eventually: Eventually
) -> None:
    """The recovery directory is in use: refused with 89, and not tried again and again."""
    paper = deployed(live=False)
    prepared(paper)
    with paper.running("flow") as running:
        first = running["flow"]
        first.wait_healthy(READY_S)
        with paper.running("flow", log="flow-again") as second:
            again = second["flow"]
            eventually(lambda: "state=held code=89" in again.said, "held")
            assert again.said.count("StartRefused") == 1
            assert again.stop() == 89
        assert first.healthy()
        assert first.stop() == 0
