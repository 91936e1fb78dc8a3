"""The objects of a run in /dev/shm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faultinj.run.enter import HOOK, hook_directory
from faultinj.run.tree import tree

SHM = Path("/dev/shm")


def test_objects_go_with_the_block_whatever_ends_it() -> None:
    with pytest.raises(KeyError), tree() as shared:
        assert shared.path == SHM / f"faultinj.{os.getpid()}"
        assert shared.path.exists()
        assert shared.log.exists()
        assert "os.open" in shared.block.names()
        raise KeyError
    assert not shared.path.exists()
    assert not shared.log.exists()


def test_a_killed_runners_objects_are_taken_away_and_a_living_ones_are_not() -> None:
    code = (
        "import os, signal, sys\n"
        "from faultinj.run.tree import tree\n"
        "with tree() as shared:\n"
        "    print(shared.path, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        kept = Path(living.stdout.readline().strip())
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as dying:
            assert dying.stdout is not None
            orphan = Path(dying.stdout.readline().strip())
            dying.kill()
            dying.wait()
        assert orphan.exists()
        with tree():
            pass
        assert not orphan.exists()
        assert not orphan.with_name(f"{orphan.name}.log").exists()
        assert kept.exists()
        living.communicate("")
    assert not kept.exists()


def test_the_hook_comes_first_on_the_path_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([hook_directory(), "/a", "/old/hook"]))
    monkeypatch.setenv(HOOK, "/old/hook")
    monkeypatch.setenv("FAULTINJ", "os.open=return")
    with tree() as shared:
        env = shared.environment("x=off")
    assert env["PYTHONPATH"] == os.pathsep.join([hook_directory(), "/a"])
    assert "FAULTINJ" not in env


def test_half_a_line_of_the_log_is_left_out() -> None:
    with tree() as shared:
        shared.log.write_bytes(b'{"pid": 1, "point": "os.open", "error": "E", "stack": ["a:1 f"]}\n{"pid": 2, "po')
        assert [told.pid for told in shared.told()] == [1]


def test_a_runner_that_is_told_to_end_takes_its_objects_away() -> None:
    code = (
        "import sys\n"
        "from faultinj.run.tree import tree\n"
        "with tree() as shared:\n"
        "    print(shared.path, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as ended:
        assert ended.stdout is not None
        made = Path(ended.stdout.readline().strip())
        assert made.exists()
        ended.terminate()
        assert ended.wait(60) == 143
    assert not made.exists()
