"""Asks a process how it is, as Prometheus and a supervisor do."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Asked:
    """A process's endpoints."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=60, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def waits_for(self) -> dict[str, Any]:
        """The conditions that do not hold yet."""
        return {name: why for name, why in self.get("/readyz").json().items() if why is not True}

    def samples(self) -> Samples:
        """All samples, by name and labels, without the prefix that each of them has."""
        found: Samples = {}
        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                assert sample.name.startswith("truecopy_")
                name = sample.name.removeprefix("truecopy_")
                found[name, tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, None if it is not there."""
        return self.samples().get((name, tuple(sorted(labels.items()))))


@pytest.fixture
def asked() -> Callable[[str], Asked]:
    """Endpoints at an address."""
    return Asked
