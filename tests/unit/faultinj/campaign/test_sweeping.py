"""Campaigns over the real sweep: every engine comes to the same, victims are never workers, nothing stays behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from faultinj.campaign.begin import open_campaign
from faultinj.campaign.run import run_campaign
from faultinj.campaign.store import Store, load_result
from faultinj.sweep.context import BEGINNING, own_objects

REAL = """
[campaign]
name = "real"
chunk = 8
[[sweep]]
scenarios = ["queue.create", "zone.create"]
kinds = ["transient", "persistent", "kill"]
n = 40
"""
Facts = set[tuple[object, ...]]


@pytest.fixture
def real(tmp_path: Path) -> Callable[[str], Store]:
    """Begins campaigns over two small scenarios of the allocator."""
    (tmp_path / "real.toml").write_text(REAL)
    return lambda name: open_campaign(tmp_path / "real.toml", tmp_path / name, resume=True)


def facts(store: Store) -> Facts:
    """What does not depend on pids and times."""
    return {
        (one.trial.id, one.verdict, one.result, tuple((i.point, i.sequence, i.step) for i in one.injected))
        for one in store.outcomes()
    }


def test_processes_come_to_what_this_process_comes_to(real: Callable[[str], Store]) -> None:
    with real("local.db") as local, real("apart.db") as apart:
        assert run_campaign(local).how == "done"
        assert run_campaign(apart, engine="processes:2").how == "done"
        assert facts(local) == facts(apart)
        result = load_result(local.path)
    assert result.injected > 50
    assert result.empty == ()
    killed = [row for row in result.points if row.injected]
    assert len(killed) > 3


def test_a_victim_is_neither_the_campaign_nor_its_child(real: Callable[[str], Store]) -> None:
    with real("x.db") as store:
        run_campaign(store)
        dead = {one.pid for outcome in store.outcomes() for one in outcome.injected if outcome.trial.kind == "kill"}
    assert dead
    assert os.getpid() not in dead
    assert not dead & {child.pid for child in psutil.Process().children()}


def test_a_campaign_killed_in_the_midst_leaves_nothing_once_it_is_resumed(
    real: Callable[[str], Store], tmp_path: Path
) -> None:
    with real("whole.db") as whole:
        run_campaign(whole)
        expected = facts(whole)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from faultinj.campaign import Store, run_campaign\n"
        "left = int(sys.argv[2])\n"
        "def told(progress):\n"
        "    if progress.trials >= left:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "with Store.open(Path(sys.argv[1])) as store:\n"
        "    run_campaign(store, engine='processes:2', told=told)\n"
    )
    real("cut.db").close()
    for trials in ("1", "60"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "cut.db"), trials], timeout=100, check=False
        )
        assert done.returncode == -signal.SIGKILL
    with real("cut.db") as cut:
        assert run_campaign(cut).how == "done"
        assert facts(cut) == expected
    alive = {name.removeprefix(BEGINNING).split("-")[0] for name in own_objects(BEGINNING)}
    assert all(psutil.pid_exists(int(pid)) for pid in alive), "arenas of the dead are gone"
