"""Faults asked for by the environment: read once, with errors that name variable, file, line and key."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faultinj import Block
from faultinj.environment import BadEnvironment, read_file

PROGRAM = """
import faultinj
point = faultinj.point("env.turn", error=ConnectionError)
for _ in range(3):
    try:
        point()
        print("ok")
    except ConnectionError as error:
        print(error)
"""


def run(program: str = PROGRAM, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_plan_in_the_environment_holds_for_points_declared_later() -> None:
    done = run(FAULTINJ="env.turn=nth(2):return")
    assert done.stdout.splitlines() == ["ok", "fault injected at env.turn", "ok"]
    assert done.stderr == ""


def test_a_name_that_nobody_declared_is_told_of_at_exit() -> None:
    done = run(FAULTINJ="env.trun=return; env.turn=off")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["ok"] * 3
    assert "env.trun=return: no point was called so while this program ran; did you mean env.turn?" in done.stderr
    assert "env.turn=off" not in done.stderr


def test_a_file_is_read_before_the_plan_and_gives_a_seed(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('seed = 4\n[points]\n"env.*" = "return"\n"zone.ctor" = "1%return(SM_LIMIT)"\n')
    plan, seed = read_file(file)
    assert (str(plan), seed) == ("env.*=return; zone.ctor=1%return(SM_LIMIT)", 4)
    done = run(FAULTINJ_FILE=str(file), FAULTINJ="env.turn=nth(3):return")
    assert done.stdout.splitlines() == ["ok", "ok", "fault injected at env.turn"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = 'x'\n", ":1: seed: Expected `int | null`, got `str`"),
        ('[points]\n"a.b" = "off"\n"c.d" = 5\n', ":3: c.d: Expected `str`, got `int`"),
        ('[points]\n\n"a.b" = "nth(:off"\n', ":3: a.b: column 5: expected the N of nth"),
        ("sede = 4\n", ":1: sede: Object contains unknown field `sede`"),
        ("\nseed = -1\n", ":2: seed: expected a number from 0 to 18446744073709551615"),
        ('[points]\n"a.b=off; c" = "off"\n', ":2: a.b=off; c: column 1: expected the name of one point"),
        ("seed = \n", "no TOML: Invalid value (at line 1"),
    ],
)
def test_an_error_in_a_file_names_line_and_key(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(BadEnvironment) as caught:
        read_file(file)
    assert says in str(caught.value)
    assert str(file) in str(caught.value)


def test_what_cannot_be_read_ends_the_program_and_says_which_variable() -> None:
    assert "BadEnvironment: FAULTINJ: column 14" in run(FAULTINJ="env.turn=nth(:return").stderr
    assert "FAULTINJ_FILE=/nowhere: " in run(FAULTINJ_FILE="/nowhere").stderr
    assert "FAULTINJ_SEED=x: expected a whole number" in run(FAULTINJ_SEED="x").stderr
    assert "FAULTINJ_SEED=-1: expected a whole number from 0 to" in run(FAULTINJ_SEED="-1").stderr
    assert "FAULTINJ_BLOCK=/nowhere: no fault block" in run(FAULTINJ_BLOCK="/nowhere").stderr


def test_a_block_of_the_parent_is_used(tmp_path: Path) -> None:
    path = tmp_path / "block"
    with path.open("wb+") as file:
        block = Block.of_fd(file.fileno(), True)
    done = run(FAULTINJ_BLOCK=str(path), FAULTINJ="env.turn=nth(1):return")
    assert done.stdout.splitlines()[0] == "fault injected at env.turn"
    assert block.counts(block.point("env.turn", False)) == (3, 1)
