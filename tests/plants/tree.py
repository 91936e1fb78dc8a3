"""A copy of the tree in a directory of its own, built there, with an interpreter that sees it and not the original.

Owns the copy and its build. Must not touch the tree it was made from, nor that tree's environment: the copy's
interpreter only reads the packages that are installed there.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plants.table import Fault, planted_text

__all__ = ["ROOT", "BuildFails", "Tree"]

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("shmalloc", "witness", "faultinj", "workloads")
_SETTINGS = (
    "-DSHMALLOC_PYTHON=ON",
    "-DSHMALLOC_INSTALL_LIB=OFF",
    "-DSHMALLOC_EXAMPLES=OFF",
    "-DSHMALLOC_LTO=OFF",
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG",  # built a dozen times, run for seconds
    "--log-level=WARNING",
)
_BUILD_S = 900.0


class BuildFails(RuntimeError):
    """The copy does not compile; its text is what the compiler said."""


class Tree:
    """A copy below `where`. compiled: to be built here; otherwise its modules come from another copy, by `take`."""

    def __init__(self, where: Path) -> None:
        self.source = where / "tree"
        self._build = where / "build"
        self._venv = where / "venv"
        for name in _listed():
            place = self.source / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place)
        venv.EnvBuilder(with_pip=False, symlinks=True).create(self._venv)
        paths = [str(self.source), *dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))]
        (own,) = self._venv.glob("lib/python*/site-packages")
        # Directories named in a .pth file are searched for modules, not for .pth files: the original's own stay out.
        (own / "planted.pth").write_text("\n".join(paths) + "\n")

    @property
    def python(self) -> Path:
        """The copy's interpreter."""
        return self._venv / "bin" / "python"

    def build(self) -> None:
        """Compile what has changed, and put the modules beside their packages. Raises: BuildFails."""
        tools = Path(sys.executable).parent
        if not (self._build / "build.ninja").exists():
            ninja = shutil.which("ninja", path=f"{tools}{os.pathsep}{os.environ['PATH']}")
            command = [*_SETTINGS, f"-DPython_EXECUTABLE={sys.executable}", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
            self._make(_tool("cmake"), "-S", str(self.source), "-B", str(self._build), "-G", "Ninja", *command)
        self._make(_tool("cmake"), "--build", str(self._build))
        for module in self._modules():  # what differs in time by less than a second, installing would leave alone
            module.unlink()
        self._make(_tool("cmake"), "--install", str(self._build), "--component", "python", "--prefix", str(self.source))

    def _make(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_S, check=False)
        if done.returncode != 0:
            raise BuildFails(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

    def take(self, built: "Tree") -> None:
        """Take over the compiled modules of another copy as they are now."""
        for module in built._modules():
            shutil.copy2(module, self.source / module.relative_to(built.source))

    def _modules(self) -> list[Path]:
        return [module for package in _PACKAGES for module in (self.source / package).glob("*.so")]

    @contextmanager
    def planted(self, fault: Fault) -> Iterator[None]:
        """With the fault in its file and built; afterwards the file is what it was. Raises: NotThere, BuildFails."""
        place = self.source / fault.file
        text = place.read_text()
        place.write_text(planted_text(text, fault))
        try:
            self.build()
            yield
        finally:
            place.write_text(text)

    def run(self, module: str, arguments: Sequence[str], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """`python -m module arguments` in the copy."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FAULTINJ", "WITNESS"))
        }
        return subprocess.run(
            [str(self.python), "-m", module, *arguments],
            cwd=self.source.parent,
            env=kept,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def _tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def _listed() -> list[str]:
    """The files of the tree, those too that are new and not yet committed."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    if listed.returncode != 0:
        raise BuildFails(f"git does not say which files the tree has; hunt in a checkout: {listed.stderr}")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
