"""Carries out faults on a running pipeline, and keeps the rest of it running as a supervisor would.

Every process is killed or stopped by signal, never asked. One that ends by itself is started again
only with a reason that allows it: the flow's own code 75, or a broker that was away.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from infra.children import Child, ChildDied
from infra.demo.kills import between_signed_and_answer
from infra.demo.stage import PIPELINE, Stage
from infra.kafka.cluster import KafkaCluster
from infra.kafka.node import Node
from infra.tape import bounds

STALL_S = 20.0
ZOMBIE_S = 5.0
"""How far the second flow gets before the first one wakes."""
ENDS_S = 120.0
"""How long a woken predecessor may take to meet its successor on the tape and stop."""
STARTS_S = 120.0
SIGNED_S = 4.0
BACK_OFF_S = 0.3
TEND_S = 0.1
BROKER_BACK_S = 1.0
EXCUSED_S = 60.0
"""How long after a broker's return a process may still end because of its absence."""
SUPERSEDED = 86


class Faults:
    """Faults by name. done: how often each was; restarted: what ended by itself and may."""

    def __init__(self, stage: Stage, cluster: KafkaCluster) -> None:
        self._stage = stage
        self._cluster = cluster
        self._excused_until = 0.0
        self._homes = 0
        self.done: Counter[str] = Counter()
        self.restarted: Counter[str] = Counter()
        self._carry_out: dict[str, Callable[[], None]] = {
            **{name: partial(self._kill, name) for name in PIPELINE},
            "signed": self._signed,
            "flow_twice": self._flow_twice,
            "broker": self._broker,
            "broker_and_flow": partial(self._broker, "flow"),
            "stall": self._stall,
            "zombie": self._zombie,
        }

    def carry_out(self, what: str) -> None:
        """Do it, to the end: what was killed is running again when this returns."""
        self._carry_out[what]()
        self.done[what] += 1

    def wait(self, seconds: float) -> None:
        """Let time pass while every process is kept running."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tend()
            time.sleep(min(TEND_S, max(0.0, end - time.monotonic())))

    def tend(self) -> None:
        """Start again what ended by itself and may; raises ChildDied for everything else."""
        for name, child in self._stage.children.items():
            if child.stopped or child.process is None or child.running():
                continue
            code = child.process.returncode
            waited = time.monotonic() < self._excused_until
            if name not in PIPELINE or not (code == 75 if name == "flow" else waited):
                child.check()
            self.restarted[name] += 1
            time.sleep(BACK_OFF_S)
            child.start()

    def _kill(self, name: str) -> None:
        self._stage.children[name].kill()
        self.wait_dead(BACK_OFF_S, name)
        self._stage.children[name].start()

    def wait_dead(self, seconds: float, *names: str) -> None:
        """Let time pass while these are meant to be dead."""
        for name in names:
            self._stage.children[name].stopped = True
        self.wait(seconds)

    def _signed(self) -> None:
        """Execution dies with a signature on the tape that has no answer yet, if one comes."""
        end = time.monotonic() + SIGNED_S
        while time.monotonic() < end and not between_signed_and_answer(self._stage):
            self.tend()
        self._kill("execution")

    def _flow_twice(self) -> None:
        """Dead, started, and dead again while it decides but has no snapshot yet."""
        self._kill("flow")
        self._until_flow_decides()
        self._kill("flow")

    def _until_flow_decides(self) -> None:
        """Wait until the flow, perhaps just started, has written something: the journal grows."""
        kafka = self._stage.settings.wiring.kafka
        _, before = bounds(kafka, "journal", kafka.shard)
        end = time.monotonic() + STARTS_S
        while bounds(kafka, "journal", kafka.shard)[1] == before:
            if time.monotonic() > end:
                raise ChildDied(f"the flow wrote nothing:\n{self._stage.children['flow'].tail()}")
            self.wait(TEND_S)

    def _broker(self, *with_it: str) -> None:
        """A node dies, with other processes if named; it comes back a second later."""
        node = self._node()
        for name in with_it:
            self._stage.children[name].kill()
        node.kill()
        self.wait_dead(BROKER_BACK_S, *with_it)
        node.start()
        self._cluster.wait_ready()
        self._excused_until = time.monotonic() + EXCUSED_S
        for name in with_it:
            self._stage.children[name].start()

    def _stall(self) -> None:
        """A node neither dies nor answers for a while."""
        node = self._node()
        self._excused_until = time.monotonic() + STALL_S + EXCUSED_S
        node.pause()
        try:
            self.wait(STALL_S)
        finally:
            node.resume()

    def _node(self) -> Node:
        """The one that leads the tape: losing it hurts most."""
        kafka = self._stage.settings.wiring.kafka
        return self._cluster.leader(f"{kafka.prefix}tape", kafka.shard)

    def _zombie(self) -> None:
        """The flow is stopped, another takes its place on another disk, the first one wakes.

        It must stop at its successor's start, code 86; whatever it repeats until then is skipped.
        """
        # Stopped before its FlowStarted it would be the successor when it wakes, not the zombie.
        self._until_flow_decides()
        first = self._stage.children["flow"]
        assert first.process is not None
        first.process.send_signal(signal.SIGSTOP)
        self._homes += 1
        second = Child(
            name=f"flow{self._homes}",
            argv=first.argv,
            folder=first.folder,
            env={
                **first.env,
                "TRUECOPY__FLOW__RECOVERY_DIR": str(first.folder / f"recovery-{self._homes}"),
            },
        )
        self._stage.children["flow"] = second
        # A child that is meant to end must not be tended; a failure still ends it with the stage.
        first.stopped = True
        self._stage.children[f"zombie{self._homes}"] = first
        second.start()
        self._until_flow_decides()
        self.wait(ZOMBIE_S)
        first.process.send_signal(signal.SIGCONT)
        end = time.monotonic() + ENDS_S
        while first.running():
            if time.monotonic() > end:
                raise ChildDied(f"a woken predecessor went on for {ENDS_S:.0f} s:\n{first.tail()}")
            self.wait(TEND_S)
        if first.process.returncode != SUPERSEDED:
            code = first.process.returncode
            raise ChildDied(f"a woken predecessor ended with {code}, not 86:\n{first.tail()}")
