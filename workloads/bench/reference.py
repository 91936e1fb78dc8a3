"""The compiled yardstick of the Python level: a bare Cython class, built on demand. Owns its build."""

from __future__ import annotations

import sysconfig
import tempfile
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from workloads.bench.build import FLAGS, SOURCES, Unavailable, fingerprint, need_compiler, run_tool

NAME = "reference"


def build_reference(cache: Path) -> Path:
    """The extension module's path. Raises Unavailable: no Cython, no compiler, no Python.h."""
    if find_spec("Cython") is None:
        raise Unavailable("not installed: pip package cython")
    compiler = need_compiler("cc", "gcc", "clang", package="gcc")
    source = SOURCES / f"{NAME}.pyx"
    if not source.is_file():
        raise Unavailable(f"{source.name} is not in this installation")
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").is_file():
        raise Unavailable("Python.h is missing: apt package python3-dev")
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ".so"
    place = cache / f"{NAME}-{fingerprint((compiler, *FLAGS, str(suffix)), (source,))}"
    module = place / f"{NAME}{suffix}"
    if not module.exists():
        cython = import_module("Cython.Compiler.Main")
        options = import_module("Cython.Compiler.Options")
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            copy = Path(scratch) / source.name
            copy.write_bytes(source.read_bytes())
            if cython.compile_single(str(copy), options.CompilationOptions(language_level=3), NAME).num_errors:
                raise Unavailable(f"Cython refuses {source.name}")
            made = Path(scratch) / module.name
            run_tool(
                [compiler, *FLAGS, "-shared", "-fPIC", f"-I{include}", str(copy.with_suffix(".c")), "-o", str(made)],
                source.name,
            )
            place.mkdir(exist_ok=True)
            made.replace(module)
    return module


def load_reference(cache: Path) -> ModuleType:
    """The module, loaded. Raises Unavailable as build_reference does."""
    path = build_reference(cache)
    spec = spec_from_file_location(NAME, path, loader=ExtensionFileLoader(NAME, str(path)))
    if spec is None or spec.loader is None:
        raise Unavailable(f"{path} cannot be loaded")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
