"""The first process of a container: what it passes on, what it holds, and that nothing is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.execution.__main__ import FORBIDDEN, REFUSED
from flows.engine.launch import EXITS, Exit
from infra.deploy.hold import HELD
from infra.kafka import tether
from infra.run.parts import EXECUTION_FINAL, FLOW_FINAL
from tests.waiting import WAIT_S

Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hold() -> Iterator[Started]:
    """Runs one line of Python under the hold; what is left of it is ended."""
    begun: list[subprocess.Popen[str]] = []

    def start(program: str, form: str = "text") -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "infra.deploy.hold", sys.executable, "-c", program]
        process = subprocess.Popen(
            tether.command(argv),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TRUECOPY_LOG": form},
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("code", [0, 1, 75])
def test_a_code_that_a_restart_may_cure_is_passed_on_at_once(hold: Started, code: int) -> None:
    assert hold(f"raise SystemExit({code})").wait(WAIT_S) == code


def test_a_program_that_a_signal_ended_is_passed_on_as_a_shell_would(hold: Started) -> None:
    assert hold("import os; os.kill(os.getpid(), 9)").wait(WAIT_S) == 128 + signal.SIGKILL


@pytest.mark.parametrize("code", [min(HELD), max(HELD)])
def test_a_code_that_says_not_again_is_held_named_and_ends_with_a_signal(
    hold: Started, code: int
) -> None:
    process = hold(f"raise SystemExit({code})")
    assert process.stderr is not None
    said = process.stderr.readline()
    assert f"state=held code={code} runbook=RUNBOOK.md#{HELD[code]}" in said
    assert process.poll() is None
    process.terminate()
    assert process.wait(WAIT_S) == code


def test_the_line_that_says_so_has_the_form_of_all_others(hold: Started) -> None:
    process = hold("raise SystemExit(88)", "json")
    assert process.stderr is not None
    said = json.loads(process.stderr.readline())
    assert (said["state"], said["code"], said["level"]) == ("held", "88", "error")
    assert said["runbook"] == "RUNBOOK.md#flow-exit-88"


def test_a_form_of_log_lines_that_is_not_known_is_named_and_runs_nothing(hold: Started) -> None:
    said, refused = hold("print('ran')", "xml").communicate(timeout=WAIT_S)
    assert said == ""
    assert refused == "TRUECOPY_LOG is 'xml'; it must be one of text, json\n"


def test_a_signal_reaches_the_program_and_its_own_end_is_passed_on(hold: Started) -> None:
    """Also with a code that would be held: who asked for the end does not wait for a hold."""
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(86))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    process = hold(program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(WAIT_S) == 86


def test_the_program_dies_with_its_hold(hold: Started) -> None:
    """A container whose first process is killed must not leave a second one that writes."""
    process = hold("import os, signal; print(os.getpid(), flush=True); signal.pause()")
    assert process.stdout is not None
    program = int(process.stdout.readline())
    process.kill()
    process.wait(WAIT_S)
    until = time.monotonic() + WAIT_S
    while _alive(program):
        assert time.monotonic() < until, f"{program} outlived its hold"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_every_exit_that_no_restart_cures_is_held_and_no_other() -> None:
    """The flow's table and execution's are where the codes are made."""
    flow = {int(code) for code in EXITS.values()} - {Exit.CLEAN, Exit.KAFKA_FAILED}
    assert set(HELD) == flow | {REFUSED, FORBIDDEN}
    final = {**FLOW_FINAL, **EXECUTION_FINAL}
    assert {code: meaning.anchor for code, meaning in final.items()} == HELD


def test_the_hold_loads_no_part_of_the_pipeline() -> None:
    """It sits beside every process for as long as that runs."""
    look = "import sys, infra.deploy.hold; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", look],
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S,
        env={**os.environ, "PYTHONPATH": ""},
    )
    loaded = set(done.stdout.split())
    heavy = {"schemas", "flows", "bytewax", "confluent_kafka", "msgspec"}
    assert heavy.isdisjoint(loaded)
    ours = {name for name in loaded if name.startswith("connectors")}
    assert ours == {"connectors", "connectors.telemetry", "connectors.telemetry.logs"}
