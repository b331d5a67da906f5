"""Which processes a pipeline has, in which order they stop, and which exit codes end it all.

All start at once: without Ticks nothing is decided and without decisions nothing is sent, so there
is no order to keep. They stop one after the other: the flow first, so that no new order is asked
for; then execution, which writes down the answers to what is in the air; then the connectors, for
the fills of those last orders come by them, and their Ticks are what execution checks its clock
against; then the export, which takes what the others wrote last; then a broker of our own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows.engine.launch import Exit

STOP_ORDER = (("flow",), ("execution",), ("account", "public"), ("export",), ("broker",))
LOST_EXIT = 91
"""What the supervisor ends with when a process failed too often, or took what it held with it."""


@dataclass(frozen=True)
class Meaning:
    """What an exit code says, and the page of RUNBOOK.md about it."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Part:
    """One process of the pipeline.

    words: its command. health_key: the key of [health] with its port, '' has no endpoint. final:
    exit codes that no new start can cure. restarts: False where its end loses what it held.
    essential: False where the rest is worth running without it.
    """

    name: str
    words: tuple[str, ...]
    health_key: str = ""
    final: Mapping[int, Meaning] = field(default_factory=dict)
    restarts: bool = True
    essential: bool = True


def _flow_exit(code: Exit, text: str) -> tuple[int, Meaning]:
    return int(code), Meaning(text, f"flow-exit-{int(code)}")


FLOW_FINAL = dict(
    [
        _flow_exit(Exit.SUPERSEDED, "a later flow, or one with newer rules, has this tape"),
        _flow_exit(Exit.DIVERGED, "what it would write again differs from what stands"),
        _flow_exit(Exit.TAPE_BROKEN, "its state and the tape do not fit together"),
        _flow_exit(Exit.START_REFUSED, "it refuses its snapshot: wrong, foreign, missing or held"),
        _flow_exit(Exit.KAFKA_REFUSED, "Kafka refuses: an offset or a topic is gone, or a right"),
    ]
)
EXECUTION_FINAL = {
    2: Meaning("it may not start as it was asked to", "live-refused"),
    3: Meaning("the venue forbids this account to trade", "venue-forbids"),
}


def pipeline(*, live: bool, archive: Path | None) -> list[Part]:
    """The processes of a live or a paper pipeline; on paper execution plays the account."""
    public = Part("public", ("connectors", "public"), "public_port")
    account = Part("account", ("connectors", "account"), "account_port")
    flow = Part("flow", ("flow",), "flow_port", FLOW_FINAL)
    words = ("execution", "--live") if live else ("execution",)
    execution = Part("execution", words, "execution_port", EXECUTION_FINAL)
    export = [] if archive is None else [_export(archive)]
    return [public, *([account] if live else []), flow, execution, *export]


def _export(archive: Path) -> Part:
    words = ("export", "--folder", str(archive))
    return Part("export", words, "export_port", FLOW_FINAL, essential=False)
