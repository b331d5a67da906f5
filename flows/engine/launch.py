"""Runs one dataflow in this process: float epochs, a clean end on a signal, a code for each reason.

One worker, no cluster: shards are processes of their own. SIGTERM and SIGINT set `stop`; the source
then ends its input, Bytewax takes a final snapshot of all, and the exit code is 0. During a broker
outage that snapshot waits for the broker; a second signal ends the process at once, which loses
nothing either (the next start re-emits a tail and skips it).

| code | reason | start again? |
|-----:|---|---|
| 0 | clean end: a signal (also while Kafka was waited for), or `until` was reached | as wanted |
| 1 | anything unnamed, with its traceback | it is a bug: report it |
| 75 | UndeliveredRecord, ClientFatal: a new process cures it, by reading back what stands | yes |
| 86 | Superseded, Fenced: a later generation or newer rules are on the tape | no |
| 87 | Diverged: what is written again differs from what stands | no, an operator must look |
| 88 | TapeGap, TapeRepeat: state and tape do not fit | no, `truecopy rebuild` |
| 89 | StartRefused: a wrong, foreign, missing or held snapshot | no, the message says what to do |
| 90 | NeedsOperator: Kafka refuses: offset gone, topic missing, no permission | no, the same |
"""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from types import FrameType

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.run import cli_main

from connectors.kafka.consumer import WaitEnded
from connectors.kafka.errors import ClientFatal, Fenced, NeedsOperator, UndeliveredRecord
from flows.engine.errors import Diverged, StartRefused, Superseded, TapeGap, TapeRepeat
from flows.engine.recovery import Identity, prepare

LOG = logging.getLogger(__name__)


class Exit(IntEnum):
    """What the process ends with; see the table above."""

    CLEAN = 0
    KAFKA_FAILED = 75
    SUPERSEDED = 86
    DIVERGED = 87
    TAPE_BROKEN = 88
    START_REFUSED = 89
    KAFKA_REFUSED = 90


EXITS: dict[type[BaseException], Exit] = {
    Superseded: Exit.SUPERSEDED,
    Diverged: Exit.DIVERGED,
    TapeGap: Exit.TAPE_BROKEN,
    TapeRepeat: Exit.TAPE_BROKEN,
    StartRefused: Exit.START_REFUSED,
    WaitEnded: Exit.CLEAN,
    UndeliveredRecord: Exit.KAFKA_FAILED,
    ClientFatal: Exit.KAFKA_FAILED,
    Fenced: Exit.SUPERSEDED,
    NeedsOperator: Exit.KAFKA_REFUSED,
}
NAMED: tuple[type[BaseException], ...] = (BytewaxRuntimeError, *EXITS)


def run(
    flow: Dataflow,
    *,
    stop: threading.Event,
    epoch_s: float,
    recovery_dir: Path | None = None,
    identity: Identity | None = None,
    on_fresh: Callable[[], None] = lambda: None,
) -> int:
    """Run the flow to its end and return the exit code; call it in the main thread.

    Without a recovery directory nothing is remembered: for replays. on_fresh: called where there
    is no snapshot yet, and may refuse. A named reason is the last log line; anything else is
    raised.
    """
    assert (recovery_dir is None) == (identity is None), "state and its identity come together"
    recovery = None
    try:
        if recovery_dir is not None and identity is not None:
            recovery = prepare(recovery_dir, identity, on_fresh=on_fresh)
        purged = recovery.purged_rows if recovery else 0
        LOG.info("flow=%s state=starting epoch_s=%s purged=%d", flow.flow_id, epoch_s, purged)
        with _ends_on_signal(stop):
            cli_main(  # type: ignore[no-untyped-call]
                flow,
                epoch_interval=timedelta(seconds=epoch_s),
                recovery_config=recovery and recovery.config,
            )
    except NAMED as error:
        reason = root_cause(error)
        code = exit_code(reason)
        if code is None:
            raise
        level = logging.INFO if code is Exit.CLEAN else logging.ERROR
        said = (flow.flow_id, int(code), type(reason).__name__, str(reason))
        LOG.log(level, "flow=%s state=stopped code=%d error=%s reason=%r", *said)
        return code
    finally:
        if recovery is not None:
            recovery.close()
    LOG.info("flow=%s state=ended", flow.flow_id)
    return Exit.CLEAN


def exit_code(reason: BaseException) -> Exit | None:
    """The code of a named reason; None for an error that nobody has named."""
    return next((code for kind, code in EXITS.items() if isinstance(reason, kind)), None)


def root_cause(error: BaseException) -> BaseException:
    """What our code raised: Bytewax wraps it in one or more errors that say in which step."""
    while isinstance(error, BytewaxRuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _ends_on_signal(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on the first SIGTERM or SIGINT; the second one does what it did before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def end(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
