"""The words after `--`."""

import sys
from pathlib import Path

import pytest

from faultinj.run.command import CommandError, command_of, title_of


@pytest.mark.parametrize("word", ["python", "python3", "python3.11"])
def test_python_is_this_interpreter(word: str) -> None:
    assert command_of([word, "app.py", "-x"]) == [sys.executable, "app.py", "-x"]


def test_a_script_and_a_module_are_run_by_this_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("")
    assert command_of([str(script), "a"]) == [sys.executable, str(script), "a"]
    assert command_of(["-m", "json.tool"]) == [sys.executable, "-m", "json.tool"]
    assert command_of(["a"], "json.tool") == [sys.executable, "-m", "json.tool", "a"]


@pytest.mark.parametrize("words", [[], ["-m"], ["nowhere.py"], ["no-such-program-at-all"]])
def test_words_that_name_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(CommandError):
        command_of(words)


def test_a_program_is_called_after_its_script_or_module() -> None:
    assert title_of([sys.executable, "-X", "dev"]) == "dev"
    assert title_of([sys.executable, "/a/app.py", "-m", "x"]) == "app.py"
    assert title_of([sys.executable, "-m", "json.tool"]) == "json.tool"
    assert title_of(["/bin/sh", "-c", "true"]) == "sh"
