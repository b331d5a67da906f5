"""What a producer of ours exports, and the condition that its broker is there."""

from connectors.kafka.config import Health
from connectors.kafka.producer import Producer
from connectors.telemetry.server import Telemetry


def export_producer(telemetry: Telemetry, producer: Producer, prefix: str) -> None:
    """Acknowledged records by topic, named without the prefix, and what waits for that."""

    def delivered() -> dict[str, float]:
        return {name.removeprefix(prefix): n for name, n in dict(producer.delivered).items()}

    telemetry.metrics.read("produced_total", delivered)
    telemetry.metrics.read("produce_queue", lambda: producer.outstanding)


def away(health: Health) -> str:
    """Why this client waits for Kafka, '' while it does not: its newest error, or nothing since."""
    return f"{health.name} waits for Kafka: {health.newest_error}" if health.down else ""
