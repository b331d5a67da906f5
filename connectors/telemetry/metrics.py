"""The metrics of one process: plain counts that live where they are counted, read at each scrape.

Own registry, never the client library's global one, so that tests and processes share nothing. A
source is called on the server's thread: it reads what another thread writes and must not change it.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from connectors.telemetry.names import METRICS, PREFIX, Process

Reading = float | Mapping[str, float] | None
"""A number, one for each value of the metric's label, or None: nothing can be said yet."""

Source = Callable[[], Reading]

POST_BUCKETS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics(Collector):
    """What one process exports. rules: version of the decisions, where it makes any."""

    def __init__(self, process: Process, *, rules: int | None = None) -> None:
        self._sources: dict[str, Source] = {}
        said = {"version": version("truecopy"), "process": process}
        self._build = {**said, "rules": "" if rules is None else str(rules)}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def read(self, name: str, source: Source) -> None:
        """Export a metric of the table from here on, as the source has it at each scrape."""
        assert METRICS[name].kind in ("counter", "gauge"), f"{name} is no count and no gauge"
        assert name not in self._sources, f"{name} has a source already"
        self._sources[name] = source

    def histogram(self, name: str, buckets: tuple[float, ...]) -> Callable[[float], None]:
        """A function that takes one observation."""
        metric = METRICS[name]
        assert metric.kind == "histogram", f"{name} is no histogram"
        made = Histogram(PREFIX + name, metric.meaning, buckets=buckets, registry=self._registry)
        return made.observe

    def collect(self) -> Iterable[Metric]:
        """Called by the registry at each scrape."""
        build = METRICS["build_info"].meaning
        yield InfoMetricFamily(f"{PREFIX}build", build, value=self._build)
        for name, source in list(self._sources.items()):
            reading = source()
            if reading is not None:
                yield _family(name, reading)

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


def _family(name: str, reading: float | Mapping[str, float]) -> Metric:
    _, label, meaning = METRICS[name]
    make = CounterMetricFamily if METRICS[name].kind == "counter" else GaugeMetricFamily
    family = make(PREFIX + name, meaning, labels=[label] if label else [])
    if isinstance(reading, Mapping):
        assert label, f"{name} has no label"
        # One step in C: a plain dict of text is copied before its owner can change it.
        for value, number in dict(reading).items():
            family.add_metric([value], number)
    else:
        family.add_metric([], reading)
    return family
