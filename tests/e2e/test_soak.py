"""Ten SIGKILLs, a stalled broker and a zombie in one run; `make soak KILLS=100` is the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.kafka import install

RUN = "python -m infra.soak --kills 10 --seed 3"


@pytest.mark.timeout(900)
def test_ten_kills_a_stalled_broker_and_a_zombie_lose_nothing_and_double_nothing(
    tmp_path: Path,
) -> None:
    if (missing := install.missing()) is not None:
        pytest.skip(f"the soak needs a real Kafka: {missing}")
    argv = [sys.executable, *RUN.split()[1:], "--folder", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=840, check=False)
    logs = "".join(f"\n== {log}\n{log.read_text()[-1500:]}" for log in tmp_path.rglob("*.log"))
    assert done.returncode == 0, f"{RUN}\n{done.stdout[-4000:]}{done.stderr[-3000:]}{logs}"
    (line,) = (tmp_path / "rounds.jsonl").read_text().splitlines()
    figures = json.loads(line)
    assert (figures["kills"], figures["lost"], figures["doubled"]) == (10, 0, 0)
    assert figures["broken"] == []
    assert {"stall", "zombie", "flow_twice", "broker_and_flow"} <= figures["faults"].keys()
