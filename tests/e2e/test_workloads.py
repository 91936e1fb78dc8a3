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
MBUF_KINDS = ("mbufs", "clusters", "packets", "jumbop", "jumbo9", "jumbo16", "tags", "extrefs")


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
    # A packet in its cache keeps its cluster, which the cluster zone counts as used.
    assert all(zone["used"] == 0 for zone in found["zones"] if zone["name"] != "mbuf_cluster")
    assert found["mbufs"] is None or all(found["mbufs"][kind]["current"] == 0 for kind in MBUF_KINDS)
    assert sum(zone["allocs"] for zone in found["zones"]) > 0
    assert len({worker["pid"] for worker in found["workers"]}) == 2
    assert (ended.code, ended.err, ended.left) == (0, "", [])


@pytest.mark.parametrize("name", ["crossfree", "packets", "forward"])
def test_items_are_freed_by_another_process(name: str) -> None:
    counts = workloads("run", name, "--cpus", "3", "--seconds", "0.5", "--seed", "1", "--json").json["counts"]
    # forward sends most packets in two pieces.
    assert 2 * counts["remote_frees"] >= counts["received"] == counts["sent"] > 0
    assert name == "forward" or counts["remote_frees"] >= counts["received"]


def test_one_process_alone_runs_every_workload_that_hands_over() -> None:
    for name in ("crossfree", "larson", "refcnt", "packets", "forward", "sockets", "rip", "nfsleak", "ips"):
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


@pytest.mark.parametrize("name", ["churn", "larson", "refcnt", "forkstorm", "sockets"])
def test_a_run_whose_allocations_are_made_to_fail_is_clean(name: str) -> None:
    ended = workloads("run", name, "--cpus", "2", "--seconds", "0.3", "--seed", "5", "--failure-rate", "3", "--json")
    assert (ended.json["violations"], ended.json["leaked_items"], ended.json["findings"]) == ([], 0, [])
    assert ended.json["counts"]["made to fail"] > 0
    assert ended.json["ops"] > 0
    assert (ended.code, ended.err, ended.left) == (0, "", [])


@pytest.mark.parametrize("name", ["forward", "sockets", "rip", "nfsleak", "ips"])
def test_what_a_dead_worker_would_have_received_is_not_leaked(name: str) -> None:
    ended = workloads("run", name, "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--sabotage", "kill", "--json")
    assert {"worker-died", "worker-exit"} <= ended.kinds
    assert (ended.json["leaked_items"], ended.json["findings"], ended.left) == (0, [], [])


@pytest.mark.parametrize("name", ["forward", "sockets", "rip", "ips"])
def test_a_leaked_packet_is_counted_as_its_mbuf_and_its_cluster(name: str) -> None:
    ended = workloads("run", name, "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--sabotage", "leak", "--json")
    assert (ended.code, ended.json["leaked_items"], ended.json["violations"], ended.left) == (1, 2, [], [])


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


@pytest.mark.parametrize(
    ("name", "zones"),
    [
        ("packets", ("frame.256", "frame.2048", "frame.69632")),
        ("forward", ("mbuf_packet", "mbuf_jumbo_9k", "mbuf_jumbo_page")),
    ],
)
def test_a_capture_of_ones_own_with_large_frames_is_replayed(tmp_path: Path, name: str, zones: tuple[str, ...]) -> None:
    path = tmp_path / "jumbo.pcapng"
    with path.open("wb") as stream:
        writer = dpkt.pcapng.Writer(stream)
        for size in (60, 1514, 9014, 65549):
            writer.writepkt(bytes(n % 253 for n in range(size)))
    ended = workloads("run", name, "--cpus", "2", "--seconds", "0.5", "--seed", "1", "--pcap", str(path), "--json")
    found = ended.json
    assert (ended.code, found["violations"], found["source"]) == (0, [], "jumbo.pcapng")
    assert all(zone["allocs"] > 0 for zone in found["zones"] if zone["name"] in zones)
    assert set(zones) <= {zone["name"] for zone in found["zones"]}


def test_a_saved_run_is_shown_again_and_drawn(tmp_path: Path) -> None:
    saved, page = tmp_path / "run.json", tmp_path / "pages" / "run.html"
    saved.write_text(workloads("run", "churn", "--cpus", "2", "--seconds", "0.5", "--seed", "3", "--json").out)
    ended = workloads("report", str(saved), "--html", str(page))
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == f"page: {page}"
    assert "churn.1500" in page.read_text()


def test_what_is_done_in_two_ways_is_shown_side_by_side_and_the_leak_with_its_line() -> None:
    ended = workloads("run", "nfsleak", "--cpus", "2", "--seconds", "1", "--seed", "2")
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert ended.code == 0
    ways = lines.index("FIGURE M_GETCL PLAIN ZONE")
    told = re.fullmatch(r"attributed by who\(\) ([\d,]+) ([\d,]+)", lines[ways + 1])
    assert told
    assert lines[ways + 2] == f"leaked {told[1]} {told[2]}"
    heads = lines.index("OLDEST COUNT BYTES HOLDER ZONE SITE")
    for line, zone in zip(lines[heads + 1 : heads + 3], ("nfs_reply", "mbuf_packet"), strict=True):
        assert re.search(rf"nfsleak\.1 \(pid \d+, cpu \d+\) {zone} \S+nfsleak\.py:\d+ NfsLeak\._serve_from_", line)
    assert "0 calls to protocol drain routines" in lines


def test_the_routing_daemon_sleeps_under_its_lock_only_where_it_may() -> None:
    counts = workloads("run", "rip", "--cpus", "2", "--seconds", "2", "--seed", "2", "--json").json["counts"]
    assert counts["slept under the lock / may sleep"] > 0
    assert counts["slept under the lock / nosleepwithlocks"] == 0
    assert counts["m_prepend failed, packet freed / nosleepwithlocks"] > 0
    assert "m_prepend failed, packet freed / may sleep" not in counts


def test_a_slow_inspector_runs_out_of_clusters_both_ways_and_recovers() -> None:
    found = workloads("run", "ips", "--cpus", "2", "--seconds", "2", "--seed", "2", "--json").json
    counts, peaks = found["counts"], found["peaks"]
    for way in ("m_getcl", "m_gethdr + m_clget"):
        assert counts[f"dropped, no cluster / {way}"] > 0
        assert counts[f"sent / {way}"] > 0
        assert counts[f"clusters there again / {way}"] > 0
        assert peaks[f"deepest queue / {way}"] > 100
    assert found["mbufs"]["drain_calls"] > 0


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
    arguments += ("--failure-rate", "50")
    ended = workloads(*arguments)
    assert (ended.code, ended.err) == (1, f"workloads: again with: {shlex.join(('workloads', *arguments))}\n")
    assert "corrupt-item" in ended.out
    assert ended.out.splitlines()[-1].startswith("Not clean: ")
