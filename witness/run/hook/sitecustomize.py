"""Enters an interpreter that `witness run` or a child of it started, then runs the sitecustomize that it hides."""

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_HERE = os.path.dirname(os.path.abspath(__file__))


def _chain() -> None:
    """Those behind this one on the path alone: another hook there comes to its turn and does not come back."""
    places = [os.path.abspath(path) for path in sys.path]
    behind = sys.path[places.index(_HERE) + 1 :] if _HERE in places else sys.path
    spec = PathFinder.find_spec("sitecustomize", behind)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _main_interpreter() -> bool:
    """Others of the process cannot load the checker, and their locks are not watched: the process is, all the same."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # the first from Python 3.13 on
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


try:
    if _main_interpreter():
        from witness.run.enter import enter

        enter()
except ImportError as error:
    sys.stderr.write(f"witness: process {os.getpid()} is not watched: {error}\n")
_chain()
