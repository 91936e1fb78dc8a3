"""What the pages about the Python API and the command line show is so."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from witness import record
from witness.cli import app
from workloads.registry import WORKLOADS

ROOT = Path(__file__).parents[2]
PAGES = ("docs/python-api.md", "docs/mbuf.md", "docs/witness.md")
EXAMPLES = [code for page in PAGES for code in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)]
WITNESS_PAGES = ("docs/witness.md", "docs/witness-reports.md")
WITNESS_COMMANDS = [
    found
    for page in WITNESS_PAGES
    for found in re.findall(r"^\$ witness (\S+)(.*)$", (ROOT / page).read_text(), re.MULTILINE)
]
COMMANDS = re.findall(r"^\$ shmalloc (\S+)(.*)$", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)


def name_of(example: str) -> str:
    found = re.search(r'"doc-(\w+)"', example)
    assert found, "an example names its arena doc-something"
    return found[1]


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_of_the_python_api_runs_as_it_stands(example: str, tmp_path: Path) -> None:
    name = f"doc-{os.getpid()}-{name_of(example)}"
    script = tmp_path / "example.py"
    script.write_text(example.replace(f"doc-{name_of(example)}", name))
    run = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    left = Path(f"/dev/shm/shmalloc.{name}")
    remained = left.exists()
    left.unlink(missing_ok=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout
    assert not remained


def test_the_pages_have_examples() -> None:
    assert len(EXAMPLES) >= 8
    assert {command for command, _ in COMMANDS} == {"ls", "stat", "top", "who", "check", "gc", "locks", "sysctl"}


@pytest.mark.parametrize("command", sorted({command for command, _ in COMMANDS}))
def test_every_option_that_the_page_shows_exists(command: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "shmalloc.cli", command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout
    shown = {
        word for name, rest in COMMANDS if name == command for word in rest.split() if re.match(r"--?[a-zA-Z]", word)
    }
    assert [option for option in shown if not re.search(rf"(?<![\w-]){option}(?![\w-])", said)] == []


def test_the_page_of_workloads_describes_every_one() -> None:
    page = (ROOT / "docs/workloads.md").read_text()
    described = re.findall(r"^(?:\| )?`(\w+)`(?: \||$)", page, re.MULTILINE)
    assert sorted(described) == sorted(WORKLOADS)


def test_every_command_and_option_of_witness_is_on_its_pages_and_exists() -> None:
    text = "".join((ROOT / page).read_text() for page in WITNESS_PAGES)
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        assert re.search(rf"witness {name}\b", text), name
        said = subprocess.run(
            [sys.executable, "-m", "witness.cli", name, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "COLUMNS": "200"},
        ).stdout
        shown = {
            word
            for one, rest in WITNESS_COMMANDS
            if one == name
            for word in rest.split()
            if re.match(r"--?[a-zA-Z]", word)
        } - {"--port"}
        assert [option for option in shown if not re.search(rf"(?<![\w-]){option}(?![\w-])", said)] == []
    assert {name for name, _ in WITNESS_COMMANDS} <= {
        one.callback.__name__ for one in app.registered_commands if one.callback
    }


@pytest.mark.parametrize("module", ["witness", "witness.record", "witness.analysis"])
def test_every_public_name_of_witness_is_on_its_page(module: str) -> None:
    text = (ROOT / "docs/witness.md").read_text()
    assert [name for name in importlib.import_module(module).__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_every_field_of_the_graph_record_is_on_its_page() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs/witness.md").read_text(), re.MULTILINE))
    kinds = ("Graph", "Process", "LockClassRecord", "Edge", "Reversal", "Sleep", "Misuse", "Wait", "Side")
    for kind in kinds:
        fields = set(getattr(record, kind).__struct_fields__)
        assert set(re.findall(r"`([a-z_]+)`", rows[kind])) <= fields, kind
        if kind == "Graph":
            assert set(re.findall(r"`([a-z_]+)`", rows[kind])) == fields
