"""How many bytes a topic takes on disk, asked of the broker itself.

The client library has no call for it (confluent-kafka 2.16), so this speaks the two messages of
Kafka's DescribeLogDirs (request 35, version 1, the oldest that brokers of 4.0 and later take) over
a plain connection, as the client settings of this project are plain too. It reads only.
"""

import socket
import struct
from collections.abc import Iterator, Mapping

DESCRIBE_LOG_DIRS, VERSION, CORRELATION = 35, 1, 1
ALL_TOPICS = -1
CLIENT = b"truecopy-topics"
TIMEOUT_S = 5.0
ANSWER_MAX = 64 * 1024 * 1024

Place = tuple[str, int]


class NoAnswer(RuntimeError):
    """The broker did not tell its sizes; the message says why."""


def request() -> bytes:
    """The question for every partition in every log directory of one broker."""
    head = struct.pack(">hhih", DESCRIBE_LOG_DIRS, VERSION, CORRELATION, len(CLIENT)) + CLIENT
    body = head + struct.pack(">i", ALL_TOPICS)
    return struct.pack(">i", len(body)) + body


class _Fields:
    """Reads a message's fields in turn; big-endian, strings and arrays after their length."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def numbers(self, layout: str) -> tuple[int, ...]:
        found = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return found

    def text(self) -> str:
        (length,) = self.numbers(">h")
        start, self._at = self._at, self._at + length
        return self._data[start : self._at].decode()

    def each(self) -> Iterator[int]:
        (count,) = self.numbers(">i")
        return iter(range(count))


def sizes_in(answer: bytes) -> dict[Place, int]:
    """Bytes of each partition that the answer names; raises NoAnswer."""
    fields = _Fields(answer)
    found: dict[Place, int] = {}
    try:
        _correlation, _throttle_ms = fields.numbers(">ii")
        for _folder in fields.each():
            (code,) = fields.numbers(">h")
            folder = fields.text()
            if code:
                raise NoAnswer(f"error {code} for the log directory {folder}")
            for _topic in fields.each():
                topic = fields.text()
                for _partition in fields.each():
                    number, size, _lag, future = fields.numbers(">iqqb")
                    if not future:  # a copy being moved to another disk
                        found[topic, number] = size
    except (struct.error, UnicodeDecodeError) as error:
        raise NoAnswer(f"an answer in another form: {error}") from error
    return found


def sizes(brokers: Mapping[int, tuple[str, int]]) -> dict[Place, int]:
    """Bytes of each partition, of one replica: the largest that any broker tells of."""
    found: dict[Place, int] = {}
    for number, (host, port) in sorted(brokers.items()):
        for place, size in sizes_in(_ask(number, host, port)).items():
            found[place] = max(size, found.get(place, 0))
    return found


def _ask(number: int, host: str, port: int) -> bytes:
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            connection.sendall(request())
            (length,) = struct.unpack(">i", _exactly(connection, 4))
            if not 0 < length <= ANSWER_MAX:
                raise NoAnswer(f"broker {number} announces an answer of {length} bytes")
            return _exactly(connection, length)
    except OSError as error:
        raise NoAnswer(f"broker {number} at {host}:{port}: {error}") from error


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise NoAnswer("the broker closed the connection")
        parts += part
    return bytes(parts)
