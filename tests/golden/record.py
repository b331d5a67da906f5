"""Write the golden digest again, after rules were raised: `make golden`.

A digest that changes under the same rules is what the golden test is there to find, so nothing is
written then, unless `--same-rules` says that it is meant: only where what is digested changed and
the decisions did not. `--tape` makes the tape anew as well, from its construction.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)
import tests  # noqa: E402 - a dependency ships a package of this name; ours comes first

if str(ROOT / "tests") not in list(tests.__path__):
    tests.__path__.insert(0, str(ROOT / "tests"))

import click  # noqa: E402

from flows.core import RULES  # noqa: E402
from tests.golden.digests import digests, folded  # noqa: E402
from tests.golden.scenario import golden_tape  # noqa: E402
from tests.golden.stand import DIGEST, TAPE, lines, refusal, standing  # noqa: E402


@click.command()
@click.option("--same-rules", is_flag=True, help="write although RULES was not raised")
@click.option("--tape", is_flag=True, help="make the tape anew from its construction, too")
def main(same_rules: bool, tape: bool) -> None:
    """Fold the golden tape and write down its digest."""
    told = golden_tape() if tape else lines()
    found = {"rules": RULES, "records": len(told), **digests(folded(told))}
    before = standing() if DIGEST.exists() else {}
    if found == before and told == lines():
        click.echo("the golden digest is what it was: nothing to write")
        return
    why = refusal(before, found, same_rules)
    if why is not None:
        raise click.ClickException(why)
    TAPE.write_bytes(b"".join(line + b"\n" for line in told))
    DIGEST.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(f"rules {RULES}, {len(told)} tape records: journal {found['journal']}")


if __name__ == "__main__":
    main()
