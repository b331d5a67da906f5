"""/healthz, /readyz and /metrics over HTTP, on a thread of its own.

Apart from any asyncio loop, so that it answers while the process's own loop is busy or hangs, and
can say so. Loopback by default; it knows no secret and takes no input but the path.

/healthz: 200, or 503 with the reason. /readyz: a JSON object that names each condition, `true` or
the reason why it does not hold; 200 if all hold, else 503. /metrics: Prometheus' text format.
"""

import json
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from connectors.telemetry.health import Heart, Readiness
from connectors.telemetry.metrics import Metrics
from connectors.telemetry.names import Process
from schemas.settings import SettingsError
from schemas.wiring import HealthWiring

LOG = logging.getLogger(__name__)
HUNG_S = 10.0
ASK_TIMEOUT_S = 5.0
TEXT = "text/plain; charset=utf-8"


class Telemetry:
    """All that one process says of itself. hung_s: see Heart; rules: see Metrics."""

    def __init__(
        self, process: Process, *, rules: int | None = None, hung_s: float = HUNG_S
    ) -> None:
        self.process: Process = process
        self.metrics = Metrics(process, rules=rules)
        self.heart = Heart(hung_s)
        self.readiness = Readiness()
        self.metrics.read("ready", lambda: float(self.readiness.ready()))

    @contextmanager
    def served(self, wiring: HealthWiring) -> Iterator[str]:
        """Answer while this lasts; gives the address.

        Raises SettingsError if it cannot listen there.
        """
        server = _listening(self, wiring)
        port = server.server_address[1]
        host = f"[{wiring.host}]" if ":" in wiring.host else wiring.host
        address = f"http://{host}:{port}"
        thread = threading.Thread(
            target=server.serve_forever, args=(0.1,), name="telemetry", daemon=True
        )
        thread.start()
        LOG.info("process=%s health=%s", self.process, address)
        try:
            yield address
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body for a path."""
        match path.partition("?")[0]:
            case "/healthz":
                trouble = self.heart.trouble()
                return _status(not trouble), TEXT, f"{trouble or 'ok'}\n".encode()
            case "/readyz":
                report = self.readiness.report()
                ready = all(said is True for said in report.values())
                body = json.dumps(report, indent=1).encode() + b"\n"
                return _status(ready), "application/json", body
            case "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE_LATEST, self.metrics.page()
        return HTTPStatus.NOT_FOUND, TEXT, b"there are /healthz, /readyz and /metrics\n"


def _status(good: bool) -> HTTPStatus:
    return HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE


class _Server(socketserver.ThreadingTCPServer):
    """Without HTTPServer's look-up of the host's name, which may wait for a name server."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], telemetry: Telemetry) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.telemetry = telemetry
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One that hangs up is no event; whatever else went wrong is logged with its traceback."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            LOG.exception("process=%s state=answer_failed", self.telemetry.process)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = ASK_TIMEOUT_S
    server_version = "truecopy"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer and close."""
        status, content_type, body = self.server.telemetry.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Being asked is no event."""


def _listening(telemetry: Telemetry, wiring: HealthWiring) -> _Server:
    setting = f"{telemetry.process}_port"
    port = getattr(wiring, setting)
    try:
        return _Server((wiring.host, port), telemetry)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"health.{setting}: cannot listen at {wiring.host}:{port} ({error}); "
            "choose another port (0 for any free one), or another health.host"
        ) from error
