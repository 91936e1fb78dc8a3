"""The command `workloads`: every workload runs clean, and every kind of damage is reported."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dpkt
import pytest

from workloads.registry import WORKLOADS

LIMIT_S = 100


@dataclass(frozen=True)
class Ended:
    """A finished command."""

    code: int
    out: str
    err: str
    left: list[Path]

    @property
    def json(self) -> dict[str, Any]:
        """Its standard output as one JSON object."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def kinds(self) -> set[str]:
        """The kinds of the violations it reported."""
        return {violation["kind"] for violation in self.json["violations"]}


def workloads(*arguments: str) -> Ended:
    """Run the command to its end, without a terminal."""
    with subprocess.Popen(
        [sys.executable, "-m", "workloads", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise
    return Ended(process.returncode, out, err, list(Path("/dev/shm").glob(f"*workloads-*-{process.pid}-*")))


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_every_workload_runs_clean(name: str) -> None:
    ended = workloads("run", name, "--cpus", "2", "--seconds", "1", "--seed", "11", "--json")
    found = ended.json
    assert (found["violations"], found["leaked_items"], found["findings"]) == ([], 0, [])
    assert (found["workload"], found["cpus"], found["seconds"], found["seed"]) == (name, 2, 1.0, 11)
    assert found["ops"] > 0
    assert found["ops_per_second"] > 0
    assert found["counts"]["sealed"] > 0
    assert found["counts"]["verified"] >= found["ops"]
    assert all(zone["used"] == 0 for zone in found["zones"])
    assert sum(zone["allocs"] for zone in found["zones"]) > 0
    assert len({worker["pid"] for worker in found["workers"]}) == 2
    assert (ended.code, ended.err, ended.left) == (0, "", [])


@pytest.mark.parametrize("name", ["crossfree", "packets"])
def test_items_are_freed_by_another_process(name: str) -> None:
    counts = workloads("run", name, "--cpus", "3", "--seconds", "0.5", "--seed", "1", "--json").json["counts"]
    assert counts["remote_frees"] >= counts["received"] == counts["sent"] > 0


def test_one_process_alone_runs_every_workload_that_hands_over() -> None:
    for name in ("crossfree", "larson", "refcnt", "packets"):
        ended = workloads("run", name, "--cpus", "1", "--seconds", "0.3", "--seed", "1", "--json")
        assert (ended.code, ended.json["violations"], ended.json["leaked_items"]) == (0, [], 0)


def test_a_limit_is_really_hit() -> None:
    zones = workloads("run", "limits", "--cpus", "2", "--seconds", "1", "--seed", "1", "--json").json["zones"]
    assert [zone["sleeps"] > 0 for zone in zones if zone["name"] == "limits"] == [True]


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_a_corrupted_item_is_reported(name: str) -> None:
    ended = workloads("run", name, "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--sabotage", "corrupt", "--json")
    assert "corrupt-item" in ended.kinds
    assert (ended.code, ended.left) == (1, [])


def test_a_killed_worker_is_reported() -> None:
    ended = workloads("run", "churn", "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--sabotage", "kill", "--json")
    assert {"worker-died", "worker-exit"} <= ended.kinds
    assert [worker["exit_code"] for worker in ended.json["workers"]] == [0, -9]
    assert (ended.code, ended.left) == (1, [])


def test_a_hanging_worker_is_reported_and_ended() -> None:
    ended = workloads(
        "run", "churn", "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--sabotage", "hang", "--grace", "2", "--json"
    )
    assert "worker-hung" in ended.kinds
    assert (ended.code, ended.left) == (1, [])


def test_a_leaked_item_is_counted() -> None:
    ended = workloads("run", "churn", "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--sabotage", "leak", "--json")
    assert ended.json["leaked_items"] == 1
    assert (ended.code, ended.json["ok"], ended.left) == (1, False, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "nothing"),
        ("run", "packets", "--pcap", "/nonexistent.pcap"),
        ("run", "packets", "--pcap", "/etc/passwd"),
        ("run", "churn", "--pcap", "/etc/passwd"),
        ("run", "churn", "--cpus", "0"),
        ("run", "churn", "--seconds", "-1"),
        ("run", "churn", "--sabotage", "everything"),
        ("report", "/nonexistent.json"),
        ("report", "/etc/passwd"),
        ("dance",),
    ],
)
def test_a_wrong_command_ends_with_2_and_a_reason(arguments: tuple[str, ...]) -> None:
    ended = workloads(*arguments)
    assert (ended.code, ended.out, bool(ended.err.strip())) == (2, "", True)
    assert "Traceback" not in ended.err


def test_the_list_names_every_workload() -> None:
    assert [entry["name"] for entry in json.loads(workloads("list", "--json").out)] == list(WORKLOADS)
    shown = workloads("list").out
    assert all(name in shown for name in WORKLOADS)


def test_the_help_of_every_command_works() -> None:
    for command in ("list", "run", "demo", "report"):
        ended = workloads(command, "--help")
        assert (ended.code, "Usage: workloads" in ended.out) == (0, True)


def test_a_capture_of_ones_own_with_large_frames_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "jumbo.pcapng"
    with path.open("wb") as stream:
        writer = dpkt.pcapng.Writer(stream)
        for size in (60, 1514, 9014, 65549):
            writer.writepkt(bytes(n % 253 for n in range(size)))
    ended = workloads("run", "packets", "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--pcap", str(path), "--json")
    found = ended.json
    assert (ended.code, found["violations"], found["source"]) == (0, [], "jumbo.pcapng")
    assert all(zone["allocs"] > 0 for zone in found["zones"] if zone["name"].startswith("frame."))


def test_a_saved_run_is_shown_again_and_drawn(tmp_path: Path) -> None:
    saved, page = tmp_path / "run.json", tmp_path / "pages" / "run.html"
    saved.write_text(workloads("run", "churn", "--cpus", "2", "--seconds", "0.5", "--seed", "3", "--json").out)
    ended = workloads("report", str(saved), "--html", str(page))
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == f"page: {page}"
    assert "churn.1500" in page.read_text()


def test_people_get_tables_and_the_seed() -> None:
    ended = workloads("run", "churn", "--cpus", "2", "--seconds", "0.5", "--seed", "42")
    assert ended.code == 0
    assert "seed 42" in ended.out.splitlines()[0]
    assert "ITEM SIZE LIMIT USED FREE REQ FAIL SLEEP" in [" ".join(line.split()) for line in ended.out.splitlines()]
    assert ended.out.splitlines()[-1].startswith("Clean: ")


def test_a_terminal_shows_a_progress_bar() -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "workloads", "run", "crossfree", "--cpus", "2", "--seconds", "0.8", "--seed", "1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(slave)
        shown = b""
        # Reading a terminal whose other end is closed is an error, not an end.
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                shown += data
        os.close(master)
        out, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert b"crossfree, 2 processes" in shown
    assert re.search(rb"[1-9][0-9,]* ops", shown)
    assert b"\x1b" not in out


def test_a_failed_run_says_how_to_repeat_it() -> None:
    arguments = ("run", "larson", "--cpus", "2", "--seconds", "0.5", "--seed", "6", "--sabotage", "corrupt")
    ended = workloads(*arguments)
    assert (ended.code, ended.err) == (1, f"workloads: again with: {shlex.join(('workloads', *arguments))}\n")
    assert "corrupt-item" in ended.out
    assert ended.out.splitlines()[-1].startswith("Not clean: ")
