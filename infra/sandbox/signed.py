"""Level-2 authentication around handlers: a private one gets its owner or is not run."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from infra.sandbox.auth import Credentials
from infra.sandbox.matching import Refusal
from infra.sandbox.rim import Handler, Rim, refuse

PrivateHandler = Callable[[web.Request, Credentials], Awaitable[web.StreamResponse]]


def private(rim: Rim, handler: PrivateHandler) -> Handler:
    """Run a handler only for a request whose level-2 signature holds."""

    async def checked(request: web.Request) -> web.StreamResponse:
        owner = rim.auth.level_2(
            request.headers,
            method=request.method,
            path=request.path,
            body=await request.read(),
            now_s=rim.clock() // 1000,
        )
        return refuse(owner) if isinstance(owner, Refusal) else await handler(request, owner)

    return checked
