"""What every HTTP handler and socket shares: the venue brought up to now, and answers as JSON."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from infra.sandbox.auth import Auth
from infra.sandbox.cache import Cache
from infra.sandbox.matching import Refusal
from infra.sandbox.postlog import PostLog
from infra.sandbox.settings import SandboxSettings
from infra.sandbox.venue import Venue

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON = "application/json"


class BrokenSandboxError(RuntimeError):
    """The venue's state cannot be trusted any more; see the error before this one."""


@dataclass(slots=True, kw_only=True)
class Rim:
    """The venue with its clock, its doors and its notes of what came in."""

    settings: SandboxSettings
    venue: Venue
    auth: Auth
    cache: Cache
    clock: Callable[[], int]
    posts: PostLog = field(default_factory=PostLog)
    broken: bool = False

    def now(self) -> int:
        """Bring the venue up to the clock and return its time.

        Once this has failed it fails for ever, so that the pump ends the sandbox.
        """
        if self.broken:
            raise BrokenSandboxError("the venue failed before: its first error says of what")
        self.broken = True
        self.venue.advance(self.clock())
        self.broken = False
        return self.venue.agenda.now_ms


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


def refuse(refusal: Refusal) -> web.Response:
    """CLOB error body: {"error": text} (API reference 13.3)."""
    return answer({"error": refusal.text}, refusal.status)
