"""Enters an interpreter that `faultinj run` or a child of it started, then runs the sitecustomize that it hides."""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_HERE = os.path.dirname(os.path.abspath(__file__))


def _chain() -> None:
    spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if os.path.abspath(path) != _HERE])
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_chain()
try:
    from faultinj.run.enter import enter

    enter()
except (ImportError, ValueError) as error:
    sys.stderr.write(f"faultinj: process {os.getpid()} is not under faults: {error}\n")
