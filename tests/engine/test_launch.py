"""How a flow ends: the code for each reason, the line that says why, the signals."""

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.testing import TestingSink, TestingSource

from connectors.kafka.consumer import WaitEnded
from connectors.kafka.errors import (
    ClientFatal,
    Fenced,
    NeedsOperator,
    TopicMissing,
    UndeliveredRecord,
)
from flows.engine import errors
from flows.engine.launch import Exit, run
from flows.engine.recovery import Identity


def flow_that(step: Any, items: Any = (1, 2, 3)) -> tuple[Dataflow, list[int]]:
    out: list[int] = []
    flow = Dataflow("tested")
    stepped = op.map("step", op.input("in", flow, TestingSource(items)), step)
    op.output("out", stepped, TestingSink(out))
    return flow, out


def raises(error: BaseException) -> Any:
    def step(_item: int) -> int:
        raise error

    return step


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.Superseded, 86),
        (Fenced, 86),
        (errors.Diverged, 87),
        (errors.TapeGap, 88),
        (errors.TapeRepeat, 88),
        (errors.StartRefused, 89),
        (NeedsOperator, 90),
        (TopicMissing, 90),
        (UndeliveredRecord, 75),
        (ClientFatal, 75),
        (WaitEnded, 0),
    ],
)
def test_each_named_reason_has_its_code_and_is_said_in_one_line(
    kind: type[Exception], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """However deep Bytewax has wrapped it."""
    flow, _ = flow_that(raises(kind("because of this")))
    caplog.set_level(logging.INFO)
    assert run(flow, stop=threading.Event(), epoch_s=1.0) == code
    said = caplog.records[-1]
    name = kind.__name__
    why = f"flow=tested state=stopped code={code} error={name} reason='because of this'"
    assert said.getMessage() == why
    assert said.levelname == ("ERROR" if code else "INFO")


def test_every_named_reason_of_the_engine_has_a_code() -> None:
    """A reason without one would end as a bug, code 1."""
    for kind in errors.FlowStopped.__subclasses__():
        flow, _ = flow_that(raises(kind("x")))
        assert run(flow, stop=threading.Event(), epoch_s=1.0) in set(Exit) - {Exit.CLEAN}


def test_an_error_that_nobody_named_is_raised_as_it_is() -> None:
    flow, _ = flow_that(raises(ZeroDivisionError("a bug")))
    with pytest.raises(BytewaxRuntimeError) as raised:
        run(flow, stop=threading.Event(), epoch_s=1.0)
    causes: list[BaseException] = [raised.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert str(causes[-1]) == "a bug"


def test_a_refused_start_runs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "part-0.sqlite3").touch()
    flow, out = flow_that(lambda item: item)
    identity = Identity(tape_id="t", schema_version=1, partition=0)
    code = run(flow, stop=threading.Event(), epoch_s=1.0, recovery_dir=tmp_path, identity=identity)
    assert (code, out) == (Exit.START_REFUSED, [])
    assert "nothing says which tape it belongs to" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_sets_stop_and_the_handlers_come_back(number: int) -> None:
    stop = threading.Event()
    before = signal.getsignal(number)
    during: list[Any] = []

    def kill_and_look(item: int) -> int:
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        during.append(signal.getsignal(number))
        return item

    flow, out = flow_that(kill_and_look, [1])
    assert run(flow, stop=stop, epoch_s=1.0) == Exit.CLEAN
    assert out == [1]
    assert during == [before], "the second signal does what it did before"
    assert signal.getsignal(number) is before
