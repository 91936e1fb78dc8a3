"""What the README promises is so: the two commands exist, the example runs, the links lead on."""

import os
import re
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


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []
