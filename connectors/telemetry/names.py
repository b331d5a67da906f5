"""Every metric there is: name, type, label and meaning. Dashboards and alerts use no other.

Each is exported with the prefix `truecopy_`. A metric that is not in this table cannot be exported.
"""

from typing import Final, Literal, NamedTuple

PREFIX: Final = "truecopy_"

Process = Literal["public", "account", "flow", "execution", "export"]


class Metric(NamedTuple):
    """One metric. label: the name of its only label, '' for none."""

    kind: Literal["counter", "gauge", "histogram", "info"]
    label: str
    meaning: str


METRICS: Final[dict[str, Metric]] = {
    # Every process.
    "build_info": Metric("info", "", "Version, rules (where it decides) and name of the process"),
    "ready": Metric("gauge", "", "1 while every condition of /readyz holds, else 0"),
    "produced_total": Metric("counter", "topic", "Records that the broker has acknowledged"),
    "produce_queue": Metric("gauge", "", "Records appended and not acknowledged yet"),
    # Both connectors.
    "frames_total": Metric("counter", "feed", "Frames and REST bodies received, by feed"),
    "dead_total": Metric("counter", "feed", "What could not be decoded and went to `dead`"),
    "feed_up": Metric("gauge", "feed", "1 up, 0.5 suspect, 0 down, as the newest Tick says"),
    "feed_age_seconds": Metric("gauge", "feed", "Age of the feed's newest data; absent before any"),
    "reconnects_total": Metric("counter", "feed", "Connections that ended and were dialled again"),
    "book_resyncs_total": Metric("counter", "reason", "Book epochs that ended, and why"),
    "rest_requests_total": Metric("counter", "outcome", "REST requests; 'ok' is a fresh answer"),
    "rest_wait_seconds": Metric("gauge", "", "How long the newest REST request awaited its budget"),
    # The dataflow.
    "tape_records_total": Metric("counter", "", "Tape records taken in by this process"),
    "tape_lag_records": Metric("gauge", "", "Tape records that are there and not yet taken in"),
    "fold_lag_seconds": Metric("gauge", "", "Wall clock minus fold time; absent before any Tick"),
    "events_total": Metric("counter", "kind", "Journal events decided, also those decided again"),
    "holds": Metric("gauge", "reason", "Gaps that are held now"),
    "alarms_total": Metric("counter", "name", "Alarm events"),
    "drift_found_total": Metric("counter", "", "DriftFound events"),
    "last_snapshot_seconds": Metric("gauge", "", "Age of the newest snapshot; absent before any"),
    # Execution.
    "posts_total": Metric("counter", "outcome", "POSTs of orders, by what their answers proved"),
    "post_seconds": Metric("histogram", "", "From sending an order to its answer"),
    "orders_open": Metric("gauge", "state", "Orders without an end, by state of their life"),
    "stop_file": Metric("gauge", "", "1 while the stop file is there"),
    "clock_skew_seconds": Metric("gauge", "", "Own clock minus the newest Tick that was read"),
    "tape_read_age_seconds": Metric("gauge", "", "Time since the tape last brought a record"),
    # The export.
    "export_rows_total": Metric("counter", "topic", "Rows written to closed files"),
    "export_lag_records": Metric("gauge", "topic", "Records that are there and not yet read"),
}
