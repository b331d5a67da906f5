"""Endpoints of one process: what they answer, when, and from which thread."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.telemetry.health import Heart, Readiness
from connectors.telemetry.server import Telemetry
from infra.kafka.node import free_ports
from schemas.settings import SettingsError
from schemas.wiring import HealthWiring
from tests.waiting import WAIT_S


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def served(asked: Callable[[str], Any]) -> Iterator[tuple[Telemetry, Any]]:
    telemetry = Telemetry("flow", rules=7)
    with telemetry.served(HealthWiring()) as address:
        yield telemetry, asked(address)


def test_a_process_that_has_not_begun_is_alive_and_one_that_stopped_beating_is_not() -> None:
    clock = Clock()
    heart = Heart(10, clock)
    clock.now_s += 1_000
    assert heart.trouble() == ""
    heart.beat()
    clock.now_s += 10
    assert heart.trouble() == ""
    clock.now_s += 0.5
    assert heart.trouble() == "the main loop has not beaten for 10.5 s"
    heart.beat()
    assert heart.trouble() == ""


def test_a_process_is_ready_when_every_condition_holds_and_names_those_that_do_not() -> None:
    ready, away = Readiness(), ["Kafka is away"]
    announced = ready.latch("announced", "not yet on the tape")
    ready.require("kafka", lambda: away[0] if away else "")
    assert not ready.ready()
    assert ready.report() == {"announced": "not yet on the tape", "kafka": "Kafka is away"}
    announced()
    announced()
    assert ready.report() == {"announced": True, "kafka": "Kafka is away"}
    away.clear()
    assert ready.ready()
    away.append("Kafka is away")
    assert not ready.ready()


def test_the_three_pages_answer_over_http(served: tuple[Telemetry, Any]) -> None:
    telemetry, process = served
    done = telemetry.readiness.latch("caught_up", "12 records to go")
    telemetry.metrics.read("tape_records_total", lambda: 41.0)

    assert (process.get("/healthz").status_code, process.get("/healthz").text) == (200, "ok\n")
    answer = process.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"caught_up": "12 records to go"})
    assert process.value("ready") == 0
    done()
    answer = process.get("/readyz?why")
    assert (answer.status_code, answer.json()) == (200, {"caught_up": True})
    assert process.value("ready") == 1
    assert process.value("tape_records_total") == 41
    assert process.value("build_info", version="0.1.0", rules="7", process="flow") == 1
    assert process.get("/metrics").headers["content-type"].startswith("text/plain")
    assert process.get("/").status_code == 404


def test_a_hanging_loop_is_told_while_it_hangs(asked: Callable[[str], Any]) -> None:
    """The answer comes from another thread, so the loop that hangs is not asked."""
    telemetry, hang, hangs = Telemetry("public", hung_s=0.05), threading.Event(), threading.Event()

    def loop() -> None:
        telemetry.heart.beat()
        hangs.set()
        hang.wait(WAIT_S)

    hanging = threading.Thread(target=loop)
    hanging.start()
    hangs.wait(WAIT_S)
    with telemetry.served(HealthWiring()) as address:
        process = asked(address)
        answers = iter(lambda: process.get("/healthz"), None)
        answer = next(answer for answer in answers if answer.status_code == 503)
    hang.set()
    hanging.join()
    assert answer.text.startswith("the main loop has not beaten for ")


def test_a_port_that_is_taken_is_a_refusal_that_names_the_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        wiring = HealthWiring(account_port=port)
        said = rf"health\.account_port: cannot listen at 127\.0\.0\.1:{port} .*0 for any free one"
        with pytest.raises(SettingsError, match=said), Telemetry("account").served(wiring):
            pass


@pytest.mark.parametrize("wiring", [{"flow_port": 70_000}, {"host": "192.0.2.1"}])
def test_an_address_that_nobody_can_listen_at_is_a_refusal(wiring: dict[str, Any]) -> None:
    with (
        pytest.raises(SettingsError, match=r"health\.flow_port: cannot listen"),
        Telemetry("flow").served(HealthWiring(**wiring)),
    ):
        pass


def test_a_closed_server_leaves_no_thread_and_no_port(asked: Callable[[str], Any]) -> None:
    before = threading.active_count()
    telemetry, (port,) = Telemetry("export"), free_ports(1)
    with telemetry.served(HealthWiring(export_port=port)) as address:
        assert asked(address).get("/healthz").status_code == 200
    assert [thread.name for thread in threading.enumerate()].count("telemetry") == 0
    assert threading.active_count() <= before + 1  # one that still hangs up on its client
    with telemetry.served(HealthWiring(export_port=port)) as again:
        assert again == address


def test_a_client_that_hangs_up_is_no_event_and_a_failing_source_is_logged(
    served: tuple[Telemetry, Any], caplog: pytest.LogCaptureFixture
) -> None:
    telemetry, process = served
    host, port = "127.0.0.1", int(str(process.get("/healthz").url.port))
    with socket.create_connection((host, port)) as line:
        line.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert process.get("/healthz").status_code == 200
    assert not caplog.records

    def broken() -> float:
        raise ZeroDivisionError("a bug in a source")

    telemetry.metrics.read("tape_lag_records", broken)
    with pytest.raises(Exception, match="disconnected"):
        process.get("/metrics")
    assert "state=answer_failed" in caplog.text
    assert "a bug in a source" in caplog.text
