"""RUNBOOK.md has a page for everything that can be raised, and no page for what cannot.

What can be raised is read from the code itself, so that a new alarm, hold, exit code or alert
without a page fails here.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connectors.execution.sink import HOLDS
from flows.core import progress
from infra.cli.main import COMMANDS
from infra.run.parts import EXECUTION_FINAL, FLOW_FINAL
from schemas.order_life import ENDED, TRANSITIONS
from tests.deploy.compose import ROOT

RUNBOOK = (ROOT / "RUNBOOK.md").read_text()
DOCUMENTS = ("RUNBOOK.md", "docs/deploy.md")
CORE = sorted((ROOT / "flows" / "core").glob("*.py"))
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
NAMED_IN_CODE = re.compile(r"RUNBOOK\.md#([a-z0-9-]+)")
ANNOUNCED = {"rebuild"}
"""What messages name and the command line does not have yet."""
ANY = "\N{HORIZONTAL ELLIPSIS}"
"""Stands for the part of a name that is known only when it is raised."""


def section(title: str) -> str:
    """The text under a heading of the second level."""
    parts = SECTION.split(RUNBOOK)
    return parts[parts.index(title) + 1]


def pages(title: str) -> set[str]:
    """Headings of the third level in a section."""
    return set(re.findall(r"^### (.+)$", section(title), re.MULTILINE))


def slugs(text: str) -> set[str]:
    """The anchors of a document's headings, as a reader of Markdown makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def names_in(node: ast.expr, scope: ast.AST) -> Iterator[str]:
    """Every text an expression may be; ANY for what is put in. Fails on a form it cannot read."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from names_in(one, scope)
            yield from names_in(other, scope)
        case ast.JoinedStr(values=parts):
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else ANY for p in parts)
        case ast.Name(id=name):
            given = [
                each.value
                for each in ast.walk(scope)
                if isinstance(each, ast.Assign)
                and [t.id for t in each.targets if isinstance(t, ast.Name)] == [name]
            ]
            assert given, f"line {node.lineno}: what {name} holds cannot be read"
            for value in given:
                yield from names_in(value, scope)
        case _:
            pytest.fail(f"line {node.lineno}: {ast.unparse(node)} is no name that can be read")


def raised(call: str, keyword: str, *, except_in: str = "") -> set[str]:
    """First argument, or the named one, of every call of this name in flows/core."""
    found: set[str] = set()
    for path in CORE:
        for scope in ast.walk(ast.parse(path.read_text())):
            if not isinstance(scope, ast.FunctionDef) or scope.name == except_in:
                continue
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and _called(node) == call:
                    named = [k.value for k in node.keywords if k.arg == keyword]
                    found |= set(names_in((named or node.args)[0], scope))
    return found


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def alarms() -> set[str]:
    """Names of all alarms; what follows a colon is detail."""
    named = raised("alarm", "name") | raised("Alarm", "name", except_in=progress.alarm.__name__)
    back = {state for state in ENDED if TRANSITIONS.get((state, "accepted")) == "accepted"}
    found: set[str] = set()
    for name in named:
        kind = name.partition(":")[0]
        found |= {kind.replace(ANY, state) for state in back} if kind[0] == ANY else {kind}
    return found


def holds() -> set[str]:
    """Reasons of all holds; `book_` and `bound_` go on with what they name."""
    return raised("Held", "reason")


ENDS = ("_end", "_doubt")


def ends_of_books() -> set[str]:
    """Why a book's epoch ends, where the code says it in so many words."""
    mirrors = ast.parse((ROOT / "connectors" / "polymarket" / "mirrors.py").read_text())
    calls = [n for n in ast.walk(mirrors) if isinstance(n, ast.Call) and _called(n) in ENDS]
    told = [a.value for n in calls for a in n.args[1:2] if isinstance(a, ast.Constant)]
    market = (ROOT / "flows" / "core" / "market.py").read_text()
    return {*map(str, told), *re.findall(r"ended(?:: str)? = \"(\w+)\"", market)}


def bounds() -> set[str]:
    """Names of all bounds that may bite."""
    sizing = (ROOT / "flows" / "core" / "sizing.py").read_text()
    ordering = (ROOT / "flows" / "core" / "ordering.py").read_text()
    caps = re.findall(r"\(f?\"(cap_\w+|cash)[\":]", ordering)
    return ({*re.findall(r"Bound\(\s*name=\"(\w+)\"", sizing), *caps}) - {"gap"}


def test_every_alarm_has_a_page_and_every_page_an_alarm() -> None:
    found = alarms()
    assert len(found) > 8
    assert pages("Alarms of the journal") == found


def test_every_hold_has_a_row_and_every_row_a_hold() -> None:
    found = holds()
    assert len(found) > 20
    assert set(ROW.findall(section("Holds"))) == found


def test_the_rows_of_families_name_every_member() -> None:
    rows = section("Holds")
    assert len(ends_of_books()) > 5
    assert len(bounds()) > 5
    missing = [f"book_{end}" for end in ends_of_books() if f"`book_{end}`" not in rows]
    missing += [f"bound_{b}" for b in bounds() if not re.search(rf"`bound_{b}[`:]", rows)]
    assert missing == []


def test_every_wait_of_execution_has_a_row() -> None:
    assert set(ROW.findall(section("Waits of execution"))) == set(HOLDS)


def test_every_exit_code_has_its_page() -> None:
    text = pages("Refusals to start, and ends")
    assert {meaning.anchor for meaning in FLOW_FINAL.values()} <= text
    assert {meaning.anchor for meaning in EXECUTION_FINAL.values()} <= text


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    rules = YAML(typ="safe").load((ROOT / "infra" / "deploy" / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert pages("Alerts") == alerts


def test_every_page_says_what_it_means_where_to_look_and_what_to_do() -> None:
    for title in ("Alerts", "Alarms of the journal", "Refusals to start, and ends"):
        for page in re.split(r"^### ", section(title), flags=re.MULTILINE)[1:]:
            order = re.findall(r"^- (Means|Look|Do): ", page, re.MULTILINE)
            assert order == ["Means", "Look", "Do"], page.splitlines()[0]


def test_every_page_that_the_code_names_is_there() -> None:
    there = slugs(RUNBOOK)
    files = [p for top in ("infra", "connectors", "flows") for p in (ROOT / top).rglob("*.py")]
    named = {name for file in files for name in NAMED_IN_CODE.findall(file.read_text())}
    assert named <= there
    refusals = (ROOT / "infra" / "run" / "preflight.py").read_text()
    anchors = set(re.findall(r"^\s+\"([a-z]+(?:-[a-z]+)+)\",?$", refusals, re.MULTILINE))
    assert "live-refused" in anchors
    assert anchors <= there


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        assert not anchor or anchor in slugs(file.read_text()), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_and_path_is_one(name: str) -> None:
    text = (ROOT / name).read_text()
    told = re.findall(r"(?:`|^|exec \w+ )truecopy ([a-z]+)", text, re.MULTILINE)
    assert len(told) > 3
    assert {word for word in told if word not in COMMANDS} <= ANNOUNCED
    top = "schemas|flows|connectors|infra|tests|docs"
    paths = re.findall(rf"`((?:{top})/[\w./-]*)`", text)
    assert [path for path in paths if not Path(ROOT / path).exists()] == []
