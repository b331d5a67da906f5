"""The project's own shape: what an installer and a reader rely on, and what pure files never do."""

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("schemas", "connectors", "flows", "infra")


def test_every_dependency_is_pinned_with_hashes_in_its_lock() -> None:
    project = PROJECT["project"]
    for lock, extras in (
        ("requirements.lock", ["build"]),
        ("requirements-dev.lock", ["build", "dev"]),
    ):
        text = (ROOT / lock).read_text()
        wanted = list(project["dependencies"])
        for extra in extras:
            wanted += project["optional-dependencies"][extra]
        for line in wanted:
            name = line.split("=")[0].split(">")[0].strip()
            assert f"\n{name}==" in "\n" + text, f"{name} is not in {lock}: run `make lock`"
    for lock in ("requirements-pip.lock", "requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        for block in text.split("\n\n"):
            assert "://" not in block, f"{lock} names a host"
        pins = [b for b in text.splitlines() if "==" in b and not b.startswith((" ", "#"))]
        assert text.count("--hash=sha256:") >= len(pins) > 0


def test_flows_package_is_empty_so_that_the_decisions_never_load_the_engine() -> None:
    assert (ROOT / "flows" / "__init__.py").read_text() == ""


def test_every_folder_with_python_files_is_in_the_built_package_list() -> None:
    built = find_packages(str(ROOT), **PROJECT["tool"]["setuptools"]["packages"]["find"])
    files = [path.relative_to(ROOT) for top in PACKAGES for path in (ROOT / top).rglob("*.py")]
    folders = {".".join(path.parent.parts) for path in files}
    assert folders == set(built), "a folder without __init__.py is left out of the built package"


def test_make_check_runs_every_check() -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    said = subprocess.run(
        ["make", "--dry-run", "check"],
        cwd=ROOT,
        env=clean | {"TESTS": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    for command in (
        "ruff format --check",
        "ruff check",
        "mypy",
        "lint-imports",
        "python -m pytest",
    ):
        assert f"/bin/{command}" in said, f"`make check` does not run {command}"
    floors = PROJECT["tool"]["importlinter"]
    assert set(floors["root_packages"]) == set(PACKAGES)
    assert floors["contracts"][0]["layers"][-1] == "schemas"


# A set's order changes from run to run (strings hash by a random seed), and with it the journal.

ORDER_FREE = {"sorted", "set", "frozenset", "any", "all", "sum", "len"}
IN_ORDER = {"list", "tuple", "dict", "iter", "enumerate", "zip", "map", "filter"}
IN_ORDER_METHODS = {"join", "fromkeys", "extend"}
NEW_SET_METHODS = {"union", "difference", "intersection", "symmetric_difference"}
LOOK_UPS = {"get", "setdefault", "pop"}
IS_SET = re.compile(r"(typing\.)?(Final\[|ClassVar\[)*(frozenset|set|AbstractSet)\b")
HOLDS_SETS = re.compile(r"\b(frozenset|set)\[")


def _called(node: ast.expr) -> str:
    """Name of what is called, '' if it is no call."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return ""


@dataclass
class Sets:
    """Which names are sets (or mappings to sets) in one scope, by annotation and assignment."""

    sets: frozenset[str] = frozenset()
    holders: frozenset[str] = frozenset()

    def seen_in(self, nodes: Iterator[ast.AST]) -> "Sets":
        """These and the names that the nodes declare."""
        found = Sets(self.sets, self.holders)
        for node in nodes:
            match node:
                case ast.AnnAssign(target=target, annotation=annotation):
                    found._annotated(_name(target), annotation)
                case ast.arg(arg=name, annotation=ast.expr() as annotation):
                    found._annotated(name, annotation)
                case ast.FunctionDef(name=name, returns=ast.expr() as annotation):
                    found._annotated(name, annotation)
                case ast.Assign(targets=[target], value=value) if found.is_set(value):
                    found.sets |= {_name(target)}
        return found

    def _annotated(self, name: str, annotation: ast.expr) -> None:
        text = ast.unparse(annotation)
        if IS_SET.match(text):
            self.sets |= {name}
        elif HOLDS_SETS.search(text):
            self.holders |= {name}

    def is_set(self, node: ast.expr) -> bool:
        """Whether the expression is a set as far as names and annotations tell."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name() | ast.Attribute():
                return _name(node) in self.sets
            case ast.Subscript(value=value):
                return _name(value) in self.holders
            case ast.Call(func=ast.Attribute(value=value, attr=attr)):
                looked_up = attr in LOOK_UPS and _name(value) in self.holders
                copied = attr == "copy" and self.is_set(value)
                return looked_up or copied or attr in NEW_SET_METHODS or f".{attr}" in self.sets
            case ast.Call(func=ast.Name(id=name)):
                return name in {"set", "frozenset"} or name in self.sets
            case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.BitXor()):
                return self._of_keys(left) or self._of_keys(right)
            case ast.BinOp(left=left, op=ast.Sub()):
                return self._of_keys(left)
            case ast.IfExp(body=one, orelse=other):
                return self.is_set(one) or self.is_set(other)
            case ast.BoolOp(values=values):
                return any(map(self.is_set, values))
        return False

    def _of_keys(self, node: ast.expr) -> bool:
        return self.is_set(node) or _called(node) in {"keys", "items"}


def _name(node: ast.expr) -> str:
    """'a' of a, '.b' of a.b: attributes are told apart from names."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return f".{name}"
    return ""


def _ordered_uses(node: ast.AST, sets: Sets) -> Iterator[ast.expr]:
    """What in this one node takes the order of a set."""
    match node:
        case ast.For(iter=one) | ast.Starred(value=one) | ast.YieldFrom(value=one):
            yield one
        case ast.ListComp(generators=loops) | ast.DictComp(generators=loops):
            yield from (loop.iter for loop in loops)
        case ast.GeneratorExp(generators=loops) if not getattr(node, "order_free", False):
            yield from (loop.iter for loop in loops)
        case ast.Call(func=ast.Attribute(value=one, attr="pop"), args=[]) if sets.is_set(one):
            yield one
        case ast.Call(func=ast.Name(), args=args) if _called(node) in IN_ORDER:
            yield from args
        case ast.Call(func=ast.Attribute(), args=args) if _called(node) in IN_ORDER_METHODS:
            yield from args


def set_iterations(source: str, shared: Sets) -> list[int]:
    """Lines on which the order of a set can reach a result."""
    tree = ast.parse(source)
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        if _called(call) in ORDER_FREE:
            for argument in call.args:
                argument.order_free = True  # type: ignore[attr-defined]
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    inside = {id(inner) for f in functions for inner in ast.walk(f) if inner is not f}
    around = [n for n in ast.walk(tree) if id(n) not in inside]
    fields = {id(n) for c in around if isinstance(c, ast.ClassDef) for n in c.body}
    here = shared.seen_in(n for n in around if id(n) not in fields)
    scopes = [(here, iter(around))]
    scopes += [(here.seen_in(ast.walk(f)), ast.walk(f)) for f in functions]
    lines = {
        used.lineno
        for sets, nodes in scopes
        for node in nodes
        for used in _ordered_uses(node, sets)
        if sets.is_set(used)
    }
    return sorted(lines)


def fields_of(trees: list[ast.Module]) -> Sets:
    """Fields and methods of all classes: any attribute of such a name is taken for one."""
    classes = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    declared = Sets().seen_in(statement for c in classes for statement in c.body)
    assigned = Sets().seen_in(n for c in classes for n in ast.walk(c))
    return Sets(
        frozenset(
            {f".{n}" for n in declared.sets} | {n for n in assigned.sets if n.startswith(".")}
        ),
        frozenset({f".{n}" for n in declared.holders}),
    )


def pure_files(*folders: str) -> dict[Path, str]:
    """Texts of the files that must be deterministic."""
    return {p: p.read_text() for folder in folders for p in (ROOT / folder).rglob("*.py")}


def test_pure_files_never_iterate_over_a_set() -> None:
    texts = pure_files("schemas", "flows/core")
    shared = fields_of([ast.parse(text) for text in texts.values()])
    found = [
        f"{path.relative_to(ROOT)}:{line}: say sorted(...)"
        for path, text in texts.items()
        for line in set_iterations(text, shared)
    ]
    assert found == []


HIDDEN_ORDER = [
    *("for x in {1, 2}: pass", "for x in set(a): pass", "for x in frozenset(a): pass"),
    *("[x for x in {y for y in a}]", "{x: 1 for x in set(a)}", "f(x for x in set(a))"),
    *("list(set(a))", "tuple({1, 2})", "next(iter(set(a)))", "[*set(a)]", "f(*set(a))"),
    *("','.join(set(a))", "dict.fromkeys(set(a))", "a.extend(set(b))", "set(a).pop()"),
    *("for x in a.keys() | b: pass", "for x in a.keys() - b: pass", "list(set(a) & b)"),
    *("for x in a.union(b): pass", "for x in (set(a) if b else c): pass"),
    "def f(a: set[int]) -> None:\n for x in a: pass",
    "def f():\n a: frozenset[int] = g()\n return [x for x in a]",
    "def f():\n a = set()\n b = a\n for x in b: pass",
    "def f(a: dict[str, set[int]]):\n for x in a['k']: pass",
    "def f(a: dict[str, set[int]]):\n for x in a.get('k', ()): pass",
    "def g() -> set[int]: ...\ndef f():\n for x in g(): pass",
    "A: Final[frozenset[str]] = g()\ndef f():\n return list(A)",
    "class C:\n a: set[int]\n def f(self):\n  for x in self.a: pass",
    "class C:\n def e(self):\n  self.a = set()\n def f(self):\n  return list(self.a)",
    "class C:\n def g(self) -> set[int]: ...\n def f(self):\n  return list(self.g())",
]
NO_ORDER = [
    *("for x in sorted({2, 1}): pass", "[x for x in sorted(set(a))]", "x in {1, 2}"),
    *("sorted(x + 1 for x in set(a))", "any(x for x in set(a))", "{x for x in set(a)}"),
    *("len(set(a))", "a.keys() <= b", "for x in a | b: pass", "for x in a - 1: pass"),
    *("for x in a.keys(): pass", "for x in [1, 2]: pass", "list({1: 2})", "a.pop()"),
    "def f(a: set[int]): pass\ndef g(a: list[int]):\n for x in a: pass",
    "def f(a: dict[str, set[int]]):\n for x in a: pass",
    "class C:\n a: set[int]\ndef f(a: list[int]):\n for x in a: pass",
]


@pytest.mark.parametrize("source", HIDDEN_ORDER)
def test_the_order_of_a_set_is_seen_wherever_it_is_used(source: str) -> None:
    assert set_iterations(source, fields_of([ast.parse(source)]))


@pytest.mark.parametrize("source", NO_ORDER)
def test_what_takes_no_order_from_a_set_is_permitted(source: str) -> None:
    assert set_iterations(source, fields_of([ast.parse(source)])) == []


def floats(source: str) -> list[int]:
    """Lines with a float literal, the name float, or a true division."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div))
    ]


def test_the_decisions_know_no_floats() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: money and time are integers"
        for path, text in pure_files("flows/core").items()
        for line in floats(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "source", ["a = 0.5", "float(a)", "a / b", "a /= 2", "a: float", "1e6", "2j"]
)
def test_a_float_is_seen_in_every_form(source: str) -> None:
    assert floats(source) == [1]


def test_whole_numbers_and_whole_division_are_permitted() -> None:
    assert floats("a = 1_000 * b // 7; a //= 2; c = '0.5'") == []
