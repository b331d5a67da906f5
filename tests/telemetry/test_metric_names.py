"""The table of metrics, and how counts that live elsewhere come out of a scrape."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.telemetry.metrics import Metrics
from connectors.telemetry.names import METRICS


def test_a_metric_that_is_not_in_the_table_cannot_be_exported() -> None:
    metrics = Metrics("public")
    with pytest.raises(KeyError):
        metrics.read("frames", lambda: 1.0)
    with pytest.raises(AssertionError):
        metrics.read("post_seconds", lambda: 1.0)
    metrics.read("frames_total", dict)
    with pytest.raises(AssertionError, match="has a source already"):
        metrics.read("frames_total", dict)


def test_every_metric_of_the_table_is_exported_under_its_name() -> None:
    metrics = Metrics("public")
    for name, (kind, label, _) in METRICS.items():
        if kind in ("counter", "gauge"):
            metrics.read(name, (lambda: {"x": 2.0}) if label else (lambda: 2.0))
        elif kind == "histogram":
            metrics.histogram(name, (0.1, 1.0))(0.5)
    samples = {
        sample.name: sample
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
    }
    for name, (kind, label, _) in METRICS.items():
        if kind in ("counter", "gauge"):
            assert samples[f"truecopy_{name}"].value == 2
            assert set(samples[f"truecopy_{name}"].labels) == ({label} if label else set())
    assert set(samples["truecopy_build_info"].labels) == {"version", "rules", "process"}
    assert samples["truecopy_post_seconds_sum"].value == 0.5


def test_counters_end_in_total_and_gauges_do_not() -> None:
    for name, metric in METRICS.items():
        assert name.endswith("_total") == (metric.kind == "counter")


def test_what_cannot_be_said_yet_is_absent() -> None:
    metrics = Metrics("flow")
    found: list[float] = []
    metrics.read("fold_lag_seconds", lambda: found[0] if found else None)
    assert b"fold_lag" not in metrics.page()
    found.append(0.25)
    assert b"truecopy_fold_lag_seconds 0.25\n" in metrics.page()


def test_counts_are_read_while_another_thread_changes_them() -> None:
    counts: Counter[str] = Counter()
    metrics, stop = Metrics("flow"), threading.Event()
    metrics.read("events_total", lambda: counts)

    def count() -> None:
        n = 0
        while not stop.is_set():
            counts[f"kind{n % 500}"] += 1
            n += 1

    counting = threading.Thread(target=count)
    counting.start()
    pages = [metrics.page() for _ in range(30)]
    stop.set()
    counting.join()
    assert pages[-1].count(b"truecopy_events_total{") > 100


def test_the_page_of_metrics_names_each_with_its_label_and_meaning() -> None:
    page = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text().splitlines()
    for name, (kind, label, meaning) in METRICS.items():
        labels = "`version`, `rules`, `process`" if kind == "info" else f"`{label}`" * bool(label)
        assert f"| `{name}` | {labels} | {meaning} |" in page
    listed = [line for line in page if line.startswith("| `") and line.count("|") == 4]
    assert len([line for line in listed if line.split("`")[1] in METRICS]) == len(METRICS)
