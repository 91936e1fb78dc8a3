"""The main job in one command: real packets, four processes, a page at the end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from workloads.stress import nfsleak

pytestmark = pytest.mark.xdist_group("demo")  # they share one demo


@dataclass(frozen=True)
class Demo:
    """A finished demo: where it ran, what it said, what it left in shared memory."""

    directory: Path
    code: int
    out: str
    err: str
    left: list[Path]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One demo for all tests, in a directory of its own, without a terminal."""
    directory = tmp_path_factory.mktemp("demo")
    with subprocess.Popen(
        [sys.executable, "-m", "workloads", "demo", "--seconds", "2"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise
    left = list(Path("/dev/shm").glob(f"*workloads-*-{process.pid}-*"))
    return Demo(directory, process.returncode, out, err, left)


def rows(text: str, head: str) -> list[list[str]]:
    """The rows of the plain table under a line of heads."""
    lines = [line.split() for line in text.splitlines()]
    start = lines.index(head.split()) + 1
    return lines[start : lines.index([], start)]


def test_the_demo_is_clean(ended: Demo) -> None:
    assert (ended.code, ended.err, ended.left) == (0, "", [])
    # Of the replay, of forwarding, of the server whose leak was found and freed, and of the routing daemon.
    assert len(re.findall(r"^check: clean; .* leaked items: 0$", ended.out, re.MULTILINE)) == 4
    assert len(re.findall(r"^Clean: [\d,]+ items verified, no violation, nothing leaked", ended.out, re.MULTILINE)) == 4


def test_the_zones_are_shown_as_vmstat_does_and_nothing_is_used(ended: Demo) -> None:
    zones = {
        row[0]: [int(cell) for cell in row[1:]] for row in rows(ended.out, "ITEM SIZE LIMIT USED FREE REQ FAIL SLEEP")
    }
    for name in ("frame.256", "frame.2048"):
        size, limit, used, free, requests, _, _ = zones[name]
        assert (str(size) == name.split(".")[1], limit > 0, used, free > 0, requests > 0) == (True, True, 0, True, True)


def worker_rows(ended: Demo) -> tuple[list[list[str]], list[list[str]]]:
    """The rows of the workers that lived to the end, and of those that were killed."""
    table = rows(ended.out, "RANK PID CORE OPS OPS/S SEALED VERIFIED REMOTE VIOLATIONS")
    return [row for row in table if row[-1] != "killed"], [row for row in table if row[-1] == "killed"]


def test_four_processes_allocated_and_freed(ended: Demo) -> None:
    table, killed = worker_rows(ended)
    assert [row[0] for row in table] == ["0", "1", "2", "3"]
    assert len({row[1] for row in table}) == 4
    for row in table:
        ops, _, sealed, verified, remote, violations = (int(cell) for cell in row[3:])
        # Every frame that was done here had been allocated elsewhere.
        assert (verified >= ops, remote, violations) == (True, ops, 0)
        if row[0] != killed[0][0]:  # who took the place of the killed one may have had no time on a loaded machine
            assert (ops > 0, sealed > 0) == (True, True)


def test_one_worker_was_killed_another_took_its_place_and_recovery_is_reported(ended: Demo) -> None:
    alive, killed = worker_rows(ended)
    assert len(killed) == 1
    assert killed[0][0] in [row[0] for row in alive]
    assert killed[0][1] not in [row[1] for row in alive]
    died = rows(ended.out, "AT FOUND CPU PID DIED DURING OUTCOME")
    assert [row[4] for row in died] == [killed[0][1]]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", died[0][2])
    assert "-" not in died[0], "what it did and what became of that is known, whoever recovered"
    found = rows(ended.out, "AT FREED KEPT UNDONE QUEUED STOPPED TOTAL AFTER BY")
    assert len(found) == 1
    assert float(found[0][0]) == pytest.approx(1.0, abs=0.5)
    assert found[0][-1] in ("runner", "survivor")
    assert re.search(
        r"^1 process killed; a round of work of the others took at most [\d.]+ ms", ended.out, re.MULTILINE
    )


def test_the_capture_is_forwarded_as_mbufs_up_to_the_table_of_netstat(ended: Demo) -> None:
    act = ended.out[ended.out.index("\nforward: ") : ended.out.index("\nnfsleak: ")]
    done = re.match(r"\nforward: ([\d,]+) operations by 4 processes", act)
    assert done
    verified = re.search(r"^Clean: ([\d,]+) items verified", act, re.MULTILINE)
    assert verified
    assert verified[1] == done[1]
    used = re.search(r"^(\d+)/(\d+)/(\d+) mbufs in use \(current/cache/total\)$", act, re.MULTILINE)
    assert used
    current, cache, total = map(int, used.groups())
    assert (current, total) == (0, cache)
    assert cache > 0
    assert re.search(r"^0/\d+ mbuf\+clusters out of packet secondary zone in use \(current/cache\)$", act, re.MULTILINE)


def test_the_planted_leak_is_attributed_to_the_process_and_the_line(ended: Demo) -> None:
    act = ended.out[ended.out.index("\nnfsleak: ") : ended.out.index("\nrip: ")]
    groups = rows(act, "OLDEST COUNT BYTES HOLDER ZONE SITE")
    assert [row[8] for row in groups] == ["nfs_reply", "mbuf_packet"]
    assert len({tuple(row[3:8]) for row in groups}) == 1, "one process holds both"
    leaked = [line.split()[1:] for line in act.splitlines() if line.startswith("leaked  ")]
    assert leaked == [[row[1] for row in reversed(groups)]]
    source = Path(nfsleak.__file__).read_text().splitlines()
    for row, call in zip(groups, nfsleak.CALLS, strict=True):
        file, _, number = row[9].rpartition(":")
        assert nfsleak.__file__.endswith(file)
        assert call in source[int(number) - 1]


def backtraces(text: str) -> list[list[str]]:
    """The stacks of a report, each the functions of its frames, the innermost first."""
    stacks: list[list[str]] = []
    for line in text.splitlines():
        if frame := re.match(r"#(\d+) (\S+) at \S.*:\d+$", line):
            if frame[1] == "0":
                stacks.append([])
            stacks[-1].append(frame[2])
    return stacks


def test_a_sleep_under_a_lock_is_told_with_the_lock_the_zone_and_both_stacks(ended: Demo) -> None:
    act = ended.out[ended.out.index("\nrip: ") : ended.out.index("\nTwo processes take two mutexes")]
    report = act[act.index('malloc(M_WAITOK) of "mbuf", forcing M_NOWAIT') : act.index("\nwitness: ")]
    assert re.search(
        r"^exclusive sleep mutex rip \(rip\) r = 0 \(0x\w+\) locked @ \S*rip\.py:\d+$", report, re.MULTILINE
    )
    held, asking = backtraces(report)
    assert (held[0], asking[:2]) == ("Rip.run", ["Rip._encapsulate", "Rip.run"])
    assert re.search(r"^happened, \d+ times: forced M_NOWAIT \d+ times, reported \d+ times$", report, re.MULTILINE)
    ways = rows(act, "FIGURE MAY SLEEP NOSLEEPWITHLOCKS")
    failed = next(row for row in ways if row[0] == "m_prepend")
    assert (failed[-2], int(failed[-1].replace(",", "")) > 0) == ("0", True)
    assert "1 finding intended" in act


def test_a_reversal_between_two_processes_is_told_with_both_stacks_and_both_pids(ended: Demo) -> None:
    act = ended.out[ended.out.index("\nTwo processes take two mutexes") :]
    assert re.search(
        r"^lock order reversal:\n 1st 0x\w+ ledger \(ledger, sleep mutex\) @ \S+bank\.py:\d+\n"
        r" 2nd 0x\w+ accounts \(accounts, sleep mutex\) @ \S+bank\.py:\d+\n"
        r"lock order accounts -> ledger established at:\n",
        act,
        re.MULTILINE,
    )
    assert [stack[0] for stack in backtraces(act)] == ["transfer", "close_day"]
    pids = re.findall(r"^by bank\.py \(pid (\d+), ", act, re.MULTILINE)
    assert len(set(pids)) == 2
    one, other = sorted(pids, key=int)
    assert f"Found: ledger -> accounts -> ledger, between process {one} and process {other}" in act
    assert "; 1 reversal, 0 kinds of sleeping under a lock, 0 misuses; 1 finding intended\n" in act


def test_the_lock_order_page_is_named_and_has_what_both_found(ended: Demo) -> None:
    assert ended.out.splitlines()[-3] == "lock order: out/lock-order.html"
    page = (ended.directory / "out" / "lock-order.html").read_text()
    data = json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    assert [finding["rule"] for finding in data["findings"]] == ["lock-order-reversal", "sleep-under-lock"]
    names = [record["name"] for record in data["classes"]]
    assert {"rip", "accounts", "ledger", "keg", "page"} <= set(names)
    reversed_links = data["findings"][0]["links"]
    assert {(names[data["links"][link]["a"]], names[data["links"][link]["b"]]) for link in reversed_links} == {
        ("accounts", "ledger"),
        ("ledger", "accounts"),
    }


def test_the_coverage_page_is_named_and_the_small_campaign_found_nothing(ended: Demo) -> None:
    assert ended.out.splitlines()[-2] == "fault coverage: out/faults.html"
    page = (ended.directory / "out" / "faults.html").read_text()
    data = json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    assert {point["state"] for point in data["points"]} == {"injected"}
    assert data["outcomes"] == []
    assert re.search(r"faults injected at (\d+) of \1 points \(100\.0 %\); 0 findings", ended.out)


def test_the_last_line_names_the_page(ended: Demo) -> None:
    assert ended.out.splitlines()[-1] == "report: out/report.html"
    page = (ended.directory / "out" / "report.html").read_text()
    assert page.count("<svg") >= 5
    assert page.index("<h2>Recovery</h2>") < page.index("<h2>Forward</h2>") < page.index("<h2>Leak</h2>")
    assert page.index("<h2>Leak</h2>") < page.index("<h2>Locks</h2>")
    assert "ledger -&gt; accounts -&gt; ledger, between process" in page
    assert "out of packet secondary zone in use" in page
    assert page.count("NfsLeak._serve_from_mbufs") == 1
    assert "frame.2048" in page
    assert "<h2>Recovery</h2>" in page
    assert worker_rows(ended)[1][0][1] in page
    assert "Clean: no invariant is broken." in page
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script", page)
