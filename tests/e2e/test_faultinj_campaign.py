"""`faultinj campaign` as a program: killed at any moment and resumed, interrupted, over processes and over dask."""

import importlib.util
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from faultinj.campaign.run import run_campaign
from faultinj.campaign.store import Store
from unit.faultinj.campaign.conftest import STANDIN, WHOLE, begun

TESTS = Path(__file__).parents[1]
FAULTINJ = [sys.executable, "-m", "faultinj.cli"]
LIMIT_S = 90

Facts = set[tuple[object, ...]]


def facts(db: Path) -> Facts:
    """All that must not depend on how often a campaign was cut off: everything but pids and times."""
    with Store.open(db) as store:
        rows = [
            (
                outcome.trial.id,
                outcome.verdict,
                outcome.result,
                tuple((one.point, one.action, one.sequence) for one in outcome.injected),
                outcome.findings,
                tuple(sorted(outcome.reached.items())),
            )
            for outcome in store.outcomes()
        ]
        assert len(rows) == sum(cell.trials for cell in store.cells())
    assert len(set(rows)) == len(rows), "a trial was counted twice"
    return set(rows)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the campaign comes to when nobody disturbs it."""
    path = tmp_path_factory.mktemp("expected") / "whole.db"
    with begun(path) as store:
        assert run_campaign(store, driver=STANDIN).how == "done"
    return facts(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The campaign's file."""
    path = tmp_path / "all.toml"
    path.write_text(WHOLE)
    return path


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[int]:
    """The reader's end of what the stand-in tells of its trials."""
    os.mkfifo(tmp_path / "tell")
    end = os.open(tmp_path / "tell", os.O_RDWR)  # open for writing too, so that it never ends
    yield end
    os.close(end)


def environment(**more: str) -> dict[str, str]:
    """The tests' modules are importable in every process of the campaign."""
    return os.environ | {"PYTHONPATH": str(TESTS)} | more


def command(*words: object) -> list[str]:
    """`faultinj campaign ...` over the stand-in."""
    driver = ["--driver", STANDIN] if words[0] in ("run", "shrink") else []
    return [*FAULTINJ, "campaign", *map(str, words), *driver]


def campaign(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `faultinj campaign ...` to its end."""
    return subprocess.run(
        command(*words), env=environment(**env), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@contextmanager
def started(*words: object, **env: str) -> Iterator[subprocess.Popen[str]]:
    """`faultinj campaign ...`, under way; ended at the end of the block."""
    with subprocess.Popen(
        command(*words),
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def heard(fifo: int, trials: int, child: subprocess.Popen[str]) -> bool:
    """Wait until so many trials were told; false when the campaign ended before."""
    deadline = time.monotonic() + LIMIT_S
    while trials > 0:
        ready, _, _ = select.select([fifo], [], [], 0.05)
        if ready:
            trials -= len(os.read(fifo, trials))
        elif child.poll() is not None:
            return False
        assert time.monotonic() < deadline
    return True


@pytest.mark.parametrize("engine", ["local", "processes:2"])
def test_killed_at_random_moments_and_resumed_it_comes_to_the_same(
    engine: str, file: Path, tmp_path: Path, fifo: int, expected: Facts
) -> None:
    db = tmp_path / "x.db"
    dice = random.Random(len(engine))
    tell = str(tmp_path / "tell")
    kills = 0
    for _ in range(6):
        with started("run", file, "--db", db, "--resume", "--engine", engine, STANDIN_TELL=tell) as child:
            if heard(fifo, dice.randrange(1, 90), child):
                # Not only just after a trial: in the midst of storing, too.
                select.select([], [], [], dice.random() * 0.02)
                workers = psutil.Process(child.pid).children(recursive=True)
                child.kill()
                kills += 1
                _, alive = psutil.wait_procs(workers, timeout=LIMIT_S)
                assert not alive, "workers end with the campaign"
            child.wait(LIMIT_S)
        while select.select([fifo], [], [], 0)[0]:
            os.read(fifo, 1 << 16)
    assert kills >= 3
    done = campaign("run", file, "--db", db, "--resume", "--engine", engine)
    assert done.returncode == 1, done.stderr
    assert facts(db) == expected
    runs = json.loads(campaign("status", db, "--json").stdout)["runs"]
    assert [run["ended"] for run in runs[:kills]] == [None] * kills
    assert not any(run["alive"] for run in runs)


def test_a_killed_worker_of_a_running_campaign_changes_nothing(
    file: Path, tmp_path: Path, fifo: int, expected: Facts
) -> None:
    db = tmp_path / "x.db"
    tell = str(tmp_path / "tell")
    with started("run", file, "--db", db, "--engine", "processes:2", "--json", STANDIN_TELL=tell) as child:
        assert heard(fifo, 30, child)
        workers = [p for p in psutil.Process(child.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        workers[0].kill()
        out, err = child.communicate(timeout=LIMIT_S)
    assert child.returncode == 1, err
    assert json.loads(out)["state"] == "done"
    assert facts(db) == expected


def test_ctrl_c_ends_it_in_order_and_says_how_to_go_on(file: Path, tmp_path: Path, fifo: int, expected: Facts) -> None:
    db = tmp_path / "x.db"
    with started("run", file, "--db", db, "--engine", "processes:2", STANDIN_TELL=str(tmp_path / "tell")) as child:
        assert heard(fifo, 40, child)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, err = child.communicate(timeout=LIMIT_S)
    assert child.returncode == 130, err
    assert f"go on with: faultinj campaign run {file} --db {db} --resume" in err
    assert "Traceback" not in err
    assert campaign("status", db).stdout.count("interrupted") == 1
    assert campaign("run", file, "--db", db, "--resume").returncode == 1
    assert facts(db) == expected


def test_every_finding_comes_with_the_command_that_replays_it(file: Path, tmp_path: Path) -> None:
    done = campaign("run", file, "--db", tmp_path / "x.db")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = lines.index("leak: sea.leaky/transient/7: place 7 leaks 7 items")
    assert lines[at + 1] == "    faultinj replay sea.leaky/transient/7   (8 more like it)"
    assert "gate: 9 findings, and 0 are allowed" in lines
    again = campaign("run", file, "--db", tmp_path / "x.db")
    assert again.returncode == 2
    assert "--resume goes on with it" in again.stderr


def test_a_campaign_that_passes_its_gate_ends_with_0_and_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "good.toml"
    file.write_text('[campaign]\nname = "good"\n[[sweep]]\nscenarios = ["pond.*"]\n[gate]\ncoverage = 1.0\n')
    db = tmp_path / "good.faultinj.db"
    done = campaign("run", file, "--db", db, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["passed"], told["gate"], told["state"], told["resume"]) == (True, [], "done", None)
    assert campaign("status", db).returncode == 0
    listed = json.loads(campaign("list", tmp_path, "--json").stdout)
    assert [(one["name"], one["trials"]) for one in listed["campaigns"]] == [("good", 4 + 4 + 41 + 41)]
    assert "whole" in listed["shipped"]


def test_a_wrong_file_is_told_with_its_line_and_begins_nothing(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[campaign]\nname = "bad"\n[[sweep]]\nscenarios = ["pnd.tiny"]\n')
    done = campaign("run", file, "--db", tmp_path / "x.db")
    assert done.returncode == 2
    assert done.stderr.startswith(f"faultinj: {file}:4: sweep[0].scenarios[0]: no scenario is called 'pnd.tiny'")
    assert not (tmp_path / "x.db").exists()


def test_a_finding_is_shrunk_and_kept(tmp_path: Path) -> None:
    done = campaign("shrink", "sea.leaky/persistent/21/seed=3", "--save", tmp_path, "--about", "it leaks")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "the smallest with leak: sea.leaky/transient/7/points=zone.ctor"
    (kept,) = tmp_path.iterdir()
    assert 'about = "it leaks"' in kept.read_text()
    healthy = campaign("shrink", "sea.leaky/kill/6")
    assert healthy.returncode == 1
    assert "does not show 'any finding': it came to clean" in healthy.stderr


def test_a_finding_is_replayed_by_the_command_that_came_with_it(file: Path, tmp_path: Path) -> None:
    db = tmp_path / "x.db"
    campaign("run", file, "--db", db)

    def replay(*words: object) -> subprocess.CompletedProcess[str]:
        line = [*FAULTINJ, "replay", *map(str, words), "--driver", STANDIN]
        return subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False)

    again = replay("sea.leaky/persistent/14", "--db", db, "--save", tmp_path)
    assert again.returncode == 1
    assert "leak: place 14 leaks 14 items" in again.stdout
    assert f"as in {db}" in again.stderr
    (kept,) = tmp_path.glob("sea*.toml")
    told = replay(kept)
    assert told.returncode == 1
    assert "leak is back: place 14 leaks 14 items; again: faultinj replay sea.leaky/persistent/14" in told.stderr
    kept.write_text(kept.read_text().replace('"clean"', '"leak"'))
    assert replay(kept).returncode == 0
    assert json.loads(replay("sea.leaky/kill/2", "--json").stdout)["verdict"] == "clean"
    assert "did you mean 'sea.leaky'" in replay("sea.leeky/kill/2").stderr


DASK = importlib.util.find_spec("distributed") is not None
needs_dask = pytest.mark.skipif(
    not DASK and not os.environ.get("CI"), reason="dask.distributed is not installed: pip install 'shmalloc[dask]'"
)
Launch = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts parts of a dask cluster on loopback; they end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(part: str, *words: str, **env: str) -> subprocess.Popen[bytes]:
        log = (tmp_path / f"{part}-{len(started)}.log").open("wb")
        child = subprocess.Popen(
            [sys.executable, "-m", "dask", part, "--host", "127.0.0.1", "--no-dashboard", *words],
            env=environment(**env),
            stdout=log,
            stderr=log,
            cwd=tmp_path,
        )
        log.close()
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait(LIMIT_S)


def scheduler_address(launch: Launch, tmp_path: Path) -> str:
    """Start a scheduler. Returns: host:port."""
    told = tmp_path / "scheduler.json"
    child = launch("scheduler", "--port", "0", "--scheduler-file", str(told))
    deadline = time.monotonic() + LIMIT_S
    while True:
        assert child.poll() is None, (tmp_path / "scheduler-0.log").read_text()
        assert time.monotonic() < deadline
        try:
            return str(json.loads(told.read_text())["address"].removeprefix("tcp://"))
        except (FileNotFoundError, json.JSONDecodeError):
            select.select([], [], [], 0.05)


@needs_dask
@pytest.mark.timeout(240)
def test_dask_workers_of_which_one_is_killed_lose_no_trial(
    launch: Launch, file: Path, tmp_path: Path, expected: Facts
) -> None:
    mines = tmp_path / "mines"
    mines.mkdir()
    (mines / "sea.wide:transient:20").touch()  # whoever comes to this trial is killed there
    address = scheduler_address(launch, tmp_path)
    workers = [launch("worker", address, "--nthreads", "1", "--no-nanny", STANDIN_MINES=str(mines)) for _ in range(2)]
    done = campaign("run", file, "--db", tmp_path / "x.db", "--engine", f"dask://{address}", "--json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["state"] == "done"
    assert list(mines.iterdir()) == []
    ends = [worker.poll() for worker in workers]
    assert sorted(ends, key=str) == [-signal.SIGKILL, None], "one worker was killed, the other one lives"
    assert facts(tmp_path / "x.db") == expected


@needs_dask
@pytest.mark.timeout(240)
def test_a_scheduler_that_is_not_there_is_told(file: Path, tmp_path: Path) -> None:
    done = campaign("run", file, "--db", tmp_path / "x.db", "--engine", "dask://127.0.0.1:1")
    assert done.returncode == 1
    assert "no scheduler answers at 127.0.0.1:1" in done.stderr
    assert "--resume" in done.stderr
