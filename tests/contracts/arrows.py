"""Finds every include, cimport and import of the tree and the layers at both ends.

The layers are those of docs/contributing.md. An arrow may point to its own layer or below. Some arrows are forbidden
besides: between the two companions, from the Python face to its leaves, and from anything but the extension module
to the core. Whatever has no layer is reported too: a new C file has to be given its place here.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CORE = "shmalloc/core"
UMBRELLA = "shmalloc.h"

# The noun of a C file (what stands before the first underscore, or its whole stem) and its layer.
CORE_LAYERS: dict[str, int] = {
    "layout": 1,
    **dict.fromkeys(("hooks", "tunable", "arena", "event", "page", "cpu", "quiesce", "slab", "keg", "tag", "site"), 2),
    **dict.fromkeys(("bucket", "cache", "zone"), 3),
    **dict.fromkeys(("attach", "depart", "reap", "malloc", "mbuf", "mbufq", "sockbuf", "mac"), 4),
    **dict.fromkeys(("queue", "userlock", "stats", "check", "dump", "who"), 4),
    "shmalloc": 4,
}
PACKAGES = ("shmalloc", "witness", "faultinj", "workloads")
COMPANIONS = ("witness", "faultinj")
LEAVES = ("report", "cli")
# What a companion's C may include of the core: all of it is header-only.
OFFERED = {f"{CORE}/{header}" for header in ("hooks.h", "base/atomic.h", "base/err.h")}


@dataclass(frozen=True, slots=True)
class Arrow:
    """One file using another: ``path:line`` uses ``target``, a path of the tree or a dotted module name."""

    path: str
    line: int
    target: str


def core_layer(path: PurePosixPath) -> int | None:
    """The layer of a file below shmalloc/core, None when it has not been given one."""
    inside = path.relative_to(CORE)
    if inside.parts[0] == "base":
        return 0
    return CORE_LAYERS.get(inside.stem, CORE_LAYERS.get(inside.stem.split("_")[0]))


def module_layer(module: str) -> float | None:
    """The layer of a Python module; the leaves of the Python face are half a step above it."""
    first, *rest = module.split(".")
    if first == "shmalloc":
        if rest and rest[0] in ("_native", "_core", "native"):
            return 5
        return 6.5 + LEAVES.index(rest[0]) / 10 if rest and rest[0] in LEAVES else 6
    return {"witness": 7, "faultinj": 7, "workloads": 8, "tests": 9}.get(first)


def includes(root: Path) -> Iterator[Arrow]:
    """Quoted includes below shmalloc/core, resolved to paths of the tree."""
    for file in sorted(f for c in (CORE, *(f"{c}/core" for c in COMPANIONS)) for f in (root / c).rglob("*.[ch]")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if found := re.match(r'\s*#\s*include\s*[<"]([^">]+)[">]', line):
                places = ((file.parent / found[1]).resolve(), (root / found[1]).resolve())
                beside = next((place for place in places if place.is_file()), None)
                system = "<" in line or beside is None
                target = f"<{found[1]}>" if system or not beside else beside.relative_to(root.resolve()).as_posix()
                yield Arrow(file.relative_to(root).as_posix(), number, target)


def module_name(root: Path, file: Path) -> str:
    """The dotted name of a Python or Cython file of the tree."""
    parts = list(file.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(root: Path) -> Iterator[tuple[str, Arrow]]:
    """Imports of first-party modules, wherever in a file they stand, with the name of the importing module."""
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            module = module_name(root, file)
            where = file.relative_to(root).as_posix()
            for node in ast.walk(ast.parse(file.read_text(), str(file))):
                for name in _imported(node, module, file.name == "__init__.py"):
                    if name.split(".")[0] in (*PACKAGES, "tests"):
                        yield module, Arrow(where, getattr(node, "lineno", 0), name)


def _imported(node: ast.AST, module: str, is_package: bool) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = module.split(".")
            above = above[: len(above) - node.level + (1 if is_package else 0)]
            base = ".".join([*above, base] if base else above)
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def cython_lines(root: Path) -> Iterator[tuple[Path, int, str]]:
    """Every line of every Cython file, numbered."""
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.p[yx][xdi]")):
            if file.suffix in (".pyx", ".pxd", ".pxi"):
                for number, line in enumerate(file.read_text().splitlines(), 1):
                    yield file, number, line


def cython_arrows(root: Path) -> Iterator[tuple[str, Arrow]]:
    """First-party imports and cimports of Cython files, and the C headers they declare, with the module's name."""
    patterns = (
        re.compile(r"\s*(?:from)\s+([\w.]+)\s+c?import\s+([\w, *(]+)"),
        re.compile(r"\s*c?import\s+([\w.]+)()"),
        re.compile(r"""\s*cdef\s+extern\s+from\s+["<']([^">']+)()"""),
    )
    for file, number, line in cython_lines(root):
        for pattern in patterns:
            if found := pattern.match(line):
                for name in [part.split(" as ")[0].strip() for part in found[2].split(",")]:
                    target = f"{found[1]}.{name}" if name else found[1]
                    if target.split(".")[0] in PACKAGES or "/" in target or target.endswith(".h"):
                        yield module_name(root, file), Arrow(file.relative_to(root).as_posix(), number, target)


def wrong_arrows(root: Path) -> list[str]:
    """Every arrow of the tree that points up or where it must not, as ``path:line: why``."""
    return [*_wrong_includes(root), *_wrong_imports(root), *_wrong_cython(root)]


def _wrong_includes(root: Path) -> Iterator[str]:
    for arrow in includes(root):
        here = f"{arrow.path}:{arrow.line}"
        if not arrow.path.startswith(CORE + "/"):
            yield from _wrong_of_companion(arrow)
            continue
        own = core_layer(PurePosixPath(arrow.path))
        if own is None:
            yield f"{here}: {arrow.path} has no layer: give its noun one in tests/contracts/arrows.py"
        elif arrow.target.startswith("<"):
            if "Python.h" in arrow.target:
                yield f"{here}: the core must not know Python"
        elif not arrow.target.startswith(CORE + "/"):
            yield f"{here}: L{own} of the core includes {arrow.target}, which is outside of it"
        else:
            other = core_layer(PurePosixPath(arrow.target))
            if other is None or other > own:
                yield f"{here}: L{own} includes {arrow.target}, which is L{other}"
            elif PurePosixPath(arrow.target).name == UMBRELLA:
                yield f"{here}: the umbrella header is for programs, not for the core itself"


def _wrong_of_companion(arrow: Arrow) -> Iterator[str]:
    """A companion's C: its own headers, and the few of the core that are offered."""
    companion = arrow.path.split("/")[0]
    if "Python.h" in arrow.target:
        yield f"{arrow.path}:{arrow.line}: the C of {companion} must not know Python"
    elif not arrow.target.startswith(("<", f"{companion}/core/")) and arrow.target not in OFFERED:
        yield f"{arrow.path}:{arrow.line}: the C of {companion} includes {arrow.target}: it may use {sorted(OFFERED)}"


def _wrong_imports(root: Path) -> Iterator[str]:
    for module, arrow in imports(root):
        if (why := _refused(module, arrow.target)) is not None:
            yield f"{arrow.path}:{arrow.line}: {why}"


def _wrong_cython(root: Path) -> Iterator[str]:
    for module, arrow in cython_arrows(root):
        here = f"{arrow.path}:{arrow.line}"
        if "/" in arrow.target or arrow.target.endswith(".h"):
            companion = module.split(".")[0]
            own = companion in COMPANIONS and arrow.target.startswith(f"{companion}/core/")
            if module_layer(module) != 5 and "core/" in arrow.target and not own:
                yield f"{here}: only the extension module may see {arrow.target}"
        elif (why := _refused(module, arrow.target)) is not None:
            yield f"{here}: {why}"


def _refused(module: str, target: str) -> str | None:
    own, other = module_layer(module), module_layer(target)
    if own is None or other is None:
        return f"{module} imports {target}, and one of them has no layer"
    packages = {module.split(".")[0], target.split(".")[0]}
    if packages == {"witness", "faultinj"}:
        return f"{module} imports {target}: the companions do not know each other"
    if other > own:
        return f"{module} (L{own:g}) imports {target} (L{other:g})"
    return None
