"""Compiles the benchmark programs on demand, once for each state of their sources.

Owns the build cache ($XDG_CACHE_HOME/shmalloc-bench, or a private temporary directory when that cannot be written).
Must not run what it builds. What is missing is reported as Unavailable with the package to install.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "c"
COMPILE_TIMEOUT_S = 180
KEEP_S = 14 * 86400
FLAGS = ("-O3", "-g", "-DNDEBUG", "-D_GNU_SOURCE=")  # as the build of the library itself; peers get the same


class Unavailable(Exception):
    """Something cannot be measured here; the text is the reason that the report shows."""


def find_compiler(*names: str) -> str | None:
    """The first of these programs that is installed."""
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    return None


def need_compiler(*names: str, package: str) -> str:
    """A compiler's path. Raises Unavailable: none is installed."""
    found = find_compiler(*names)
    if found is None:
        raise Unavailable(f"no compiler ({', '.join(names)}): apt package {package}")
    return found


def core_sources() -> tuple[Path, tuple[Path, ...]]:
    """Directory to include from, and the C files of shmalloc's core.

    Raises Unavailable: the installation came without them (they are in the sdist and in an editable install).
    """
    spec = find_spec("shmalloc")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        core = Path(place) / "core"
        if (core / "shmalloc.h").is_file():
            files = tuple(sorted(core.rglob("*.c")))
            if files:
                return core, files
    raise Unavailable("shmalloc's C sources are not in this installation: run from a checkout (pip install -e .)")


def cache_directory() -> Path:
    """Where the built programs live between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    place = Path(base) / "shmalloc-bench"
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="shmalloc-bench-"))
    if not os.access(place, os.W_OK | os.X_OK):
        return Path(tempfile.mkdtemp(prefix="shmalloc-bench-"))
    forget_old(place)
    return place


def forget_old(place: Path) -> None:
    """Removes what was built for sources of more than KEEP_S ago."""
    for old in place.iterdir():
        if time.time() - old.stat().st_mtime > KEEP_S:
            if old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.unlink(missing_ok=True)


def fingerprint(commands: Iterable[str], files: Iterable[Path]) -> str:
    """A name for one state of sources and flags."""
    digest = hashlib.sha256()
    for word in commands:
        digest.update(word.encode() + b"\0")
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


def run_tool(command: Sequence[str], what: str, cwd: Path | None = None) -> None:
    """Runs a compiler. Raises Unavailable with its first complaint."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False, cwd=cwd)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from error
    if told.returncode != 0:
        lines = told.stderr.splitlines()
        complaint = next((line for line in lines if "error" in line or "undefined" in line), told.stderr[-200:].strip())
        raise Unavailable(f"{what} does not compile: {complaint.strip()}")


def archive_of(
    name: str,
    cache: Path,
    sources: Sequence[Path],
    headers: Iterable[Path],
    flags: Sequence[str],
    include: Sequence[Path],
) -> Path:
    """A static library of these C files, built when they, their headers or the flags changed."""
    compiler = need_compiler("cc", "gcc", "clang", package="gcc")
    place = cache / f"{name}-{fingerprint((compiler, *FLAGS, *flags), (*sources, *headers))}"
    archive = place / f"lib{name}.a"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            objects = []
            for number, source in enumerate(sources):
                target = Path(scratch) / f"{number}_{source.stem}.o"
                run_tool(
                    [compiler, *FLAGS, *flags, "-std=gnu11", *(f"-I{place}" for place in include),
                     "-c", str(source), "-o", str(target)],
                    source.name,
                )  # fmt: skip
                objects.append(str(target))
            made = Path(scratch) / archive.name
            run_tool([find_compiler("ar", "gcc-ar") or "ar", "rcs", str(made), *objects], archive.name)
            place.mkdir(exist_ok=True)
            made.replace(archive)
    return archive


def core_archive(cache: Path, flags: Sequence[str] = ()) -> tuple[Path, Path]:
    """Include directory and a static library of the core."""
    include, sources = core_sources()
    headers = include.rglob("*.h")
    return include, archive_of("core", cache, sources, headers, flags, (include, include.parent))


def witness_archive(cache: Path) -> tuple[Path, Path]:
    """Include directory and a static library of the lock checker's C.

    Raises Unavailable: the installation came without it (it is in the sdist and in an editable install).
    """
    include, _ = core_sources()
    root = include.parent.parent
    sources = tuple(sorted((root / "witness" / "core").glob("*.c")))
    if not sources:
        raise Unavailable("witness's C sources are not in this installation: run from a checkout (pip install -e .)")
    headers = [*(root / "witness" / "core").glob("*.h"), *include.rglob("*.h")]
    return root, archive_of("witness", cache, sources, headers, ("-fno-strict-aliasing",), (root, root / "witness"))


def pkg_config(module: str, *, package: str, what: str = "--cflags") -> list[str]:
    """Compile flags of an installed library; what: or "--libs". Raises Unavailable: it is not installed."""
    tool = find_compiler("pkg-config", "pkgconf")
    if tool is None:
        raise Unavailable("not installed: apt package pkg-config")
    told = subprocess.run([tool, what, module], capture_output=True, text=True, timeout=20, check=False)
    if told.returncode != 0:
        raise Unavailable(f"not installed: apt package {package}")
    return told.stdout.split()


def build_program(
    source: str,
    *,
    cache: Path,
    flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
    also: Sequence[Path] = (),
    with_core: bool = False,
    with_witness: bool = False,
) -> Path:
    """The executable made from one file of workloads/bench/c, and from `also`. Raises Unavailable with the reason."""
    path = SOURCES / source
    if not path.is_file():
        raise Unavailable(f"{source} is not in this installation")
    plus = path.suffix == ".cpp"
    compiler = need_compiler("c++", "g++", package="g++") if plus else need_compiler("cc", "gcc", package="gcc")
    command = [compiler, *FLAGS, "-std=gnu++17" if plus else "-std=gnu11", *flags, f"-I{SOURCES}"]
    files = [path, *SOURCES.glob("*.h"), *also, *(header for each in also for header in each.parent.glob("*.h"))]
    tail: list[str] = [str(source) for source in also]
    if with_core:
        include, archive = core_archive(cache, flags)
        command += [f"-I{include}", f"-I{include.parent}"]
        files.append(archive)
        tail.append(str(archive))
    if with_witness:
        include, archive = witness_archive(cache)
        command.append(f"-I{include}")
        files.append(archive)
        tail[:0] = [str(archive)]
        tail.append("-ldl")
    tail += [*libraries, "-lm", "-lrt", "-lpthread"]
    program = cache / f"{path.stem}-{fingerprint((*command, *tail), files)}"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / path.stem
            run_tool([*command, str(path), "-o", str(made), *tail], source)
            made.replace(program)
    return program
