"""The distribution as its users meet it: from an sdist, as a wheel, and as a source tree that was not built."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shmalloc", "witness", "faultinj", "workloads")

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; its complaints are the failure's text."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    where = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", where, ROOT, cwd=where)
    [archive] = where.glob("shmalloc-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(where, filter="data")
    return where / archive.name.removesuffix(".tar.gz")


def test_the_sdist_holds_sources_and_no_builds(sdist: Path) -> None:
    for path in (
        "CMakeLists.txt",
        "Makefile",
        "LICENSE",
        "shmalloc/core/layout.h",
        "shmalloc/_native.pyx",
        "tests/core",
    ):
        assert (sdist / path).exists(), path
    built = [
        f for f in sdist.rglob("*") if f.suffix in {".so", ".o", ".a", ".pyc"} or f.name in {".venv", "build", "out"}
    ]
    assert built == []


def test_a_wheel_made_of_the_sdist_works_away_from_the_tree(sdist: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, sdist, cwd=tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)
    assert [n for n in names if n.startswith("shmalloc/") and n.endswith((".c", ".h", ".pyx", ".pxi", ".pxd"))] == []
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    program = (  # -S: no editable install; dependencies come from where this environment keeps them
        f"import sys; sys.path[:0] = [{str(site)!r}, {sysconfig.get_path('purelib')!r}]\n"
        "import shmalloc, witness, faultinj, workloads\n"
        "from shmalloc import _native\n"
        "print(*(m.__file__ for m in (shmalloc, witness, faultinj, workloads, _native)), sep='\\n')\n"
        "assert faultinj.points() and witness.lock_classes()\n"
    )
    files = run(sys.executable, "-S", "-c", program, cwd=tmp_path).split()
    assert [f for f in files if not Path(f).is_relative_to(site)] == []


def test_a_tree_that_was_not_built_says_so_in_one_sentence(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "shmalloc", tmp_path / "shmalloc", ignore=shutil.ignore_patterns("*.so", "__pycache__", "core")
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import shmalloc"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: shmalloc's compiled core is not built for this interpreter")
    assert "make venv" in last
    assert "During handling" not in done.stderr
