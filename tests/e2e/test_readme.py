"""What the README promises is so: the two commands exist, the example runs, the links lead on."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(language: str) -> str:
    """The first fenced block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no {language} block"
    return found[1]


def test_the_first_block_is_exactly_the_two_commands() -> None:
    assert re.search(r"```(\w+)", README)[1] == "sh"  # type: ignore[index]
    commands = [line.split("#")[0].strip() for line in block("sh").splitlines()]
    assert commands == ["make demo", "make test"]


def test_make_alone_lists_the_commands() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    for target in ("venv", "demo", "test", "core-test", "lint", "format", "bench", "soak", "docs", "sdist", "clean"):
        assert re.search(rf"^  make {target} +\S", listed, re.MULTILINE), f"make does not list {target}"


@pytest.mark.timeout(90)
def test_the_example_of_twenty_lines_runs(tmp_path: Path) -> None:
    example = block("python")
    assert len(example.splitlines()) <= 20
    name = f"readme-{os.getpid()}"
    script = tmp_path / "example.py"
    script.write_text(example.replace('"readme"', f'"{name}"'))
    left = Path(f"/dev/shm/shmalloc.{name}")
    try:
        run = subprocess.run(
            [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout == "b'HELLO' 0\n"
        assert not left.exists()
    finally:
        left.unlink(missing_ok=True)


SHOWN = re.findall(r"^\$ \.venv/bin/(\S+) (.*)\n((?:(?!\$ |```).*\n)+)", README, re.MULTILINE)
"""Each command of the consoles: the program, its arguments, and what it prints, ... for what differs between runs."""


def test_each_of_the_commands_has_its_console() -> None:
    assert [program for program, *_ in SHOWN] == ["workloads", "witness", "faultinj", "faultinj"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("program", "arguments", "shown"), SHOWN, ids=[f"{one[0]} {one[1][:12]}" for one in SHOWN])
def test_a_command_prints_what_is_shown(program: str, arguments: str, shown: str, tmp_path: Path) -> None:
    words = [word.replace("/tmp/saved", str(tmp_path)) for word in shlex.split(arguments)]
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *words],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    expected = shown.replace("/tmp/saved", str(tmp_path))
    checker = doctest.OutputChecker()
    assert checker.check_output(expected, done.stdout, doctest.ELLIPSIS), done.stdout


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []
