"""libshmalloc as its users meet it: installed, found by its .pc file, linked by C and C++, beside a Python process."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "shmalloc/core"
ANSWERS = ["ONE ARENA, TWO LANGUAGES", "OFFSETS, NEVER POINTERS", "THE ITEM IS NOT COPIED"]

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("c_library")]


def tool(name: str) -> str:
    """A program of this environment, else of the machine."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, f"{name} is needed: run `make venv`"
    return found


def run(*command: str | Path) -> str:
    """What a command prints; its complaints are the failure's text."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installed libshmalloc."""
    build = tmp_path_factory.mktemp("build")
    where = tmp_path_factory.mktemp("prefix")
    ninja = f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"
    run(tool("cmake"), "-S", ROOT, "-B", build, "-G", "Ninja", ninja, f"-DCMAKE_INSTALL_PREFIX={where}",
        "-DCMAKE_INSTALL_LIBDIR=lib", "-DSHMALLOC_WERROR=ON")  # fmt: skip
    run(tool("cmake"), "--build", build, "-j", "2")
    run(tool("cmake"), "--install", build)
    yield where
    shutil.rmtree(build)


def pc_flags(prefix: Path) -> dict[str, list[str]]:
    """Cflags and Libs of the installed .pc file, its variables resolved."""
    text = (prefix / "lib/pkgconfig/shmalloc.pc").read_text()
    variables = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    for _ in variables:
        text = re.sub(r"\$\{(\w+)\}", lambda m: variables[m[1]], text)
    return {key: value.split() for key, value in re.findall(r"^(\w+): (.*)$", text, re.MULTILINE)}


def included_from(header: Path) -> set[Path]:
    """A header of the core and every header of the core that it includes, directly or not."""
    names = re.findall(r'^#include "([^"]+)"', header.read_text(), re.MULTILINE)
    return {header}.union(*(included_from((header.parent / name).resolve()) for name in names))


def test_both_libraries_and_exactly_the_headers_behind_the_umbrella_are_installed(prefix: Path) -> None:
    public = {header.relative_to(CORE).as_posix() for header in included_from(CORE / "shmalloc.h")}
    assert {f.relative_to(prefix / "include/shmalloc").as_posix() for f in prefix.rglob("*.h")} == public
    assert (prefix / "lib/libshmalloc.a").is_file()
    assert (prefix / "lib/libshmalloc.so").resolve().is_file()


def test_the_shared_library_exports_names_of_the_core_only(prefix: Path) -> None:
    symbols = run(tool("nm"), "-D", "--defined-only", prefix / "lib/libshmalloc.so").split()[2::3]
    assert "sm_zone_alloc" in symbols
    assert [s for s in symbols if not s.startswith(("sm_", "m_", "mb_", "mbufq_", "sb", "mac_"))] == []


@pytest.mark.parametrize("link", ["shared", "static"])
def test_a_c_process_answers_a_python_process(prefix: Path, tmp_path: Path, link: str) -> None:
    flags = pc_flags(prefix)
    libraries = flags["Libs"] if link == "shared" else [str(prefix / "lib/libshmalloc.a"), "-pthread"]
    program = tmp_path / "answer"
    run(tool("cc"), "-Wall", "-Wextra", "-Werror", ROOT / "examples/c/answer.c", *flags["Cflags"], "-o", program,
        *libraries, f"-Wl,-rpath,{prefix}/lib", "-lrt")  # fmt: skip
    *answers, goodbye = run(sys.executable, ROOT / "examples/c/ask.py", program).splitlines()
    assert answers == ANSWERS
    assert re.fullmatch(r"answered 3 from CPU \d+", goodbye)


@pytest.mark.parametrize("standard", ["c++17", "c++20"])
def test_a_cpp_program_includes_the_umbrella(prefix: Path, tmp_path: Path, standard: str) -> None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler on this machine")
    program = tmp_path / "title.cc"
    program.write_text(
        "#include <shmalloc/shmalloc.h>\n#include <cstdio>\n"
        'static_assert(sizeof(sm_cpu_shm) == 256, "layout");\n'
        "int main() { std::puts(sm_err_name(SM_DOUBLE_FREE)); return sm_check_title(1) == nullptr; }\n"
    )
    flags = pc_flags(prefix)["Cflags"]
    run(compiler, f"-std={standard}", "-Wall", "-Werror", *flags, program, "-o", tmp_path / "title",
        prefix / "lib/libshmalloc.a", "-pthread", "-lrt")  # fmt: skip
    assert run(tmp_path / "title") == "SM_DOUBLE_FREE\n"
