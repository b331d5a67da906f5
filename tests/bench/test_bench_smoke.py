"""The harness of `make bench` with tiny sizes: every part that needs a broker still runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.kafka import install, tether

RUN = Path(__file__).with_name("run.py")
TIMEOUT_S = 100


@pytest.mark.skipif(install.missing() is not None, reason=f"no real Kafka: {install.missing()}")
def test_the_bench_measures_throughput_and_latency_of_a_tiny_tape() -> None:
    argv = [sys.executable, str(RUN), "--quick", "--only", "throughput", "--only", "latency"]
    done = subprocess.run(
        tether.command(argv), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    for figure in ("flow process", "bare loop", "stock idiom", "record appended"):
        assert figure in done.stdout
