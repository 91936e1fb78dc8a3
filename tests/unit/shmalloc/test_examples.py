"""Examples in docstrings run and give what they say."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import shmalloc
from shmalloc import _native

MODULES = [
    importlib.import_module(f"shmalloc.{found.name}")
    for found in pkgutil.iter_modules(shmalloc.__path__)
    if found.name not in ("cli", "_compiled")
]


def documented() -> Iterator[tuple[str, str]]:
    """(name, docstring) of every object that shows an example."""
    for module in MODULES:
        things: dict[str, Any] = {module.__name__: module}
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) == module.__name__:
                things[f"{module.__name__}.{name}"] = thing
                if isinstance(thing, type):
                    things |= {f"{module.__name__}.{name}.{member}": m for member, m in vars(thing).items()}
        for name, thing in things.items():
            text = getattr(thing, "__doc__", None)
            if isinstance(text, str) and ">>>" in text:
                yield name, text


EXAMPLES = dict(documented())


def test_examples_are_found() -> None:
    assert {"shmalloc.arena.Arena", "shmalloc._native.Item", "shmalloc._native.Zone.alloc"} <= set(EXAMPLES)
    assert _native in MODULES


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, arena_name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    scope = {
        "shmalloc": shmalloc,
        "name": arena_name,
        **vars(shmalloc),
        **vars(importlib.import_module("shmalloc.sizes")),
    }
    scope |= {
        n: v for m in MODULES for n, v in vars(m).items() if callable(v) and not n.startswith("_") and n not in scope
    }
    scope["name"] = arena_name
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], scope, name, None, 0)
    lines: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=flags).run(test, out=lines.append)
    assert outcome.attempted > 0
    assert outcome.failed == 0, "".join(lines)
