"""`python -m infra.sandbox`: run the sandbox until SIGTERM or SIGINT.

Prints one line of JSON on stdout when ready; logs go to stderr. Every setting of SandboxSettings is
an option, as --leader-rate-per-s for leader_rate_per_s; --faults takes names divided by commas.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence

import msgspec
import uvloop

from infra.sandbox.faults import FAULTS, UnknownFaultError, fault_names
from infra.sandbox.server import Sandbox
from infra.sandbox.settings import SandboxSettings, SettingsError


def parse(arguments: Sequence[str]) -> SandboxSettings:
    """Settings from the command line; exits with a message that names a wrong option."""
    faults = "; ".join(f"{name}: {fault.what}" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(prog="infra.sandbox", description=__doc__, epilog=faults)
    for field in msgspec.structs.fields(SandboxSettings):
        option = "--" + field.encode_name.replace("_", "-")
        if field.name in ("faults", "fault_rates"):
            parser.add_argument(option, default="", help="name,... or name=rate,...")
        else:
            parser.add_argument(option, default=None)
    given = vars(parser.parse_args(arguments))
    faults_given, rates_given = given.pop("faults"), given.pop("fault_rates")
    values = {name: value for name, value in given.items() if value is not None}
    try:
        values["faults"] = tuple(sorted(fault_names(faults_given.split(","))))
        values["fault_rates"] = _rates(rates_given)
        return msgspec.convert(values, SandboxSettings, strict=False)
    except (UnknownFaultError, SettingsError, msgspec.ValidationError) as error:
        parser.error(str(error))


def _rates(text: str) -> dict[str, float]:
    pairs = [pair.split("=", 1) for pair in text.split(",") if pair]
    if any(len(pair) != 2 for pair in pairs):
        raise SettingsError(f"fault rates {text!r}: write name=rate,name=rate")
    fault_names(name for name, _ in pairs)
    return {name: msgspec.convert(rate, float, strict=False) for name, rate in pairs}


async def run(settings: SandboxSettings) -> None:
    """Serve until a signal comes or the venue fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Sandbox(settings) as sandbox:
        print(json.dumps(sandbox.ready()), flush=True)  # noqa: T201 - the one line of the contract
        asked = asyncio.create_task(stop.wait())
        failed = asyncio.create_task(sandbox.failed())
        await asyncio.wait([asked, failed], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        failed.cancel()


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(message)s")
    uvloop.run(run(parse(sys.argv[1:])))


if __name__ == "__main__":
    main()
