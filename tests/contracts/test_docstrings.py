"""Whatever is public says what it does: modules, classes, functions and methods."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import faultinj
import shmalloc
import witness

ROOT = Path(__file__).parents[2]
PACKAGES = ("shmalloc", "witness", "faultinj", "workloads")
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(root: Path) -> list[str]:
    """Every public name of the packages' Python files that has no docstring, as ``path:line: name``.

    A method that implements one of a base class of the tree is documented there.
    """
    trees = {
        file.relative_to(root).as_posix(): ast.parse(file.read_text(), str(file))
        for package in PACKAGES
        for file in sorted((root / package).rglob("*.py"))
    }
    classes = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found = [f"{path}:1: the module" for path, tree in trees.items() if not ast.get_docstring(tree)]
    for path, tree in trees.items():
        for owner, node in _public(tree, None):
            if not ast.get_docstring(node) and not (owner and _documented_above(owner, node.name, classes)):
                found.append(f"{path}:{node.lineno}: {owner.name + '.' if owner else ''}{node.name}")
    return found


def _public(
    parent: ast.Module | ast.ClassDef, owner: ast.ClassDef | None
) -> Iterator[tuple[ast.ClassDef | None, Documented]]:
    for node in parent.body:
        if isinstance(node, Documented) and not node.name.startswith("_") and not _repeats(node):
            yield owner, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node, node)


def _repeats(node: Documented) -> bool:
    """A setter and an overload are documented where the first of their name stands."""
    names = {ast.unparse(d).split(".")[-1] for d in node.decorator_list}
    return bool(names & {"setter", "deleter", "overload"})


def _documented_above(owner: ast.ClassDef, method: str, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a base of the class, or a protocol that it implements, documents the method."""
    named = [classes.get(ast.unparse(base).split("[")[0].split(".")[-1]) for base in owner.bases]
    own = _methods(owner)
    followed = [
        c for c in classes.values() if "Protocol" in map(ast.unparse, c.bases) and _methods(c).keys() <= own.keys()
    ]
    return any(
        ast.get_docstring(_methods(above)[method])
        for above in (*named, *followed)
        if above is not None and above is not owner and method in _methods(above)
    ) or any(_documented_above(base, method, classes) for base in named if base is not None and base is not owner)


def _methods(owner: ast.ClassDef) -> dict[str, Documented]:
    return {n.name: n for n in owner.body if isinstance(n, Documented) and not n.name.startswith("_")}


def test_every_public_name_in_the_sources_is_documented() -> None:
    assert undocumented(ROOT) == []


def test_a_method_inherits_the_docstring_of_what_it_implements(tmp_path: Path) -> None:
    (tmp_path / "witness").mkdir()
    (tmp_path / "witness/base.py").write_text(
        '"""B."""\nclass Base:\n    """B."""\n    def go(self):\n        """Go."""\n'
    )
    (tmp_path / "witness/fast.py").write_text('"""F."""\nclass Fast(Base):\n    """F."""\n    def go(self): ...\n')
    (tmp_path / "witness/slow.py").write_text('"""S."""\nclass Slow:\n    """S."""\n    def go(self): ...\n')
    assert undocumented(tmp_path) == ["witness/slow.py:4: Slow.go"]


def test_a_name_without_docstring_is_found(tmp_path: Path) -> None:
    (tmp_path / "shmalloc").mkdir()
    (tmp_path / "shmalloc/zone.py").write_text(
        '"""Zones."""\nclass Zone:\n    """A zone."""\n    def drain(self): ...\n'
    )
    assert undocumented(tmp_path) == ["shmalloc/zone.py:4: Zone.drain"]


@pytest.mark.parametrize("package", [shmalloc, witness, faultinj], ids=lambda p: p.__name__)
def test_every_exported_name_is_documented_at_run_time(package: ModuleType) -> None:
    bare = []
    for name in package.__all__:
        thing = getattr(package, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        if not inspect.getdoc(thing):
            bare.append(name)
        if inspect.isclass(thing) and thing.__module__.split(".")[0] in PACKAGES:
            members = [
                n for n, m in vars(thing).items() if not n.startswith("_") and callable(m) and not inspect.getdoc(m)
            ]
            bare += [f"{name}.{member}" for member in members]
    assert bare == []
