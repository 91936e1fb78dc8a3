"""Enters an interpreter that `witness run` or a child of it started, then runs the sitecustomize that it hides."""

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


try:
    from witness.run.enter import enter

    enter()
except ImportError as error:
    if "Interpreter change detected" in str(error):  # what an extension module says in a second interpreter
        sys.stderr.write(
            f"witness: a subinterpreter of process {os.getpid()} is not watched: only the main one can be\n"
        )
    else:
        sys.stderr.write(f"witness: process {os.getpid()} is not watched: {error}\n")
_chain()
