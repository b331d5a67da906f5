"""Control and truth, under /_sandbox: not a part of the venue, only for tests and the demo."""

import msgspec
from aiohttp import web

from infra.sandbox.faults import FAULTS, UnknownFaultError
from infra.sandbox.hub import Hub
from infra.sandbox.matching import Refusal
from infra.sandbox.rim import Rim, answer, refuse
from infra.sandbox.truth import order_log, truth


class FaultSwitch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /_sandbox/faults: exactly these are on from now on."""

    faults: list[str]
    rates: dict[str, float] = {}


class Control:
    """Handlers of /_sandbox."""

    def __init__(self, rim: Rim, hub: Hub) -> None:
        self._rim, self._hub = rim, hub

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sandbox/truth", self.truth),
            web.get("/_sandbox/orders", self.orders),
            web.get("/_sandbox/faults", self.faults),
            web.post("/_sandbox/faults", self.switch),
            web.post("/_sandbox/rest", self.rest),
            web.post("/_sandbox/tick/{condition}", self.tick),
        ]

    async def truth(self, request: web.Request) -> web.Response:
        self._rim.now()
        sockets = {
            name: {"open": len(group), "accepted": self._hub.accepted[name]}
            for name, group in self._hub.subscribers.items()
        }
        return answer(truth(self._rim) | {"sockets": sockets})

    async def orders(self, request: web.Request) -> web.Response:
        self._rim.now()
        return answer({"orders": order_log(self._rim)})

    async def faults(self, request: web.Request) -> web.Response:
        faults = self._rim.venue.faults
        return answer(
            {
                name: {
                    "what": fault.what,
                    "on": name in faults.on,
                    "rate": faults.rates[name],
                    "count": faults.counts[name],
                }
                for name, fault in FAULTS.items()
            }
        )

    async def switch(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=FaultSwitch)
            self._rim.venue.faults.switch(wanted.faults, wanted.rates)
        except (msgspec.DecodeError, UnknownFaultError) as error:
            return refuse(Refusal(400, str(error)))
        return answer({"on": sorted(self._rim.venue.faults.on)})

    async def tick(self, request: web.Request) -> web.Response:
        """A market's tick becomes finer now: tick_size_change and whole books."""
        self._rim.now()
        floor = self._rim.venue.floor
        market = floor.by_condition.get(request.match_info["condition"])
        if market is None:
            return refuse(Refusal(404, f"no market {request.match_info['condition']}"))
        return answer({"refined": floor.refine(market)})

    async def rest(self, request: web.Request) -> web.Response:
        self._rim.now()
        self._rim.venue.rest()
        return answer({"resting": True})
