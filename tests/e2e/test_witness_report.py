"""The commands of `witness` that read graph records, as a person types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from lockgraphs import bank, deadlocked, edge, large, of_pairs, refusal
from witness.record import write_graph

WITNESS = [sys.executable, "-m", "witness.cli"]
LIMIT_S = 5.0  # processor time for a report of a thousand classes and twenty thousand orders


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `witness` with these words."""
    return subprocess.run([*WITNESS, *map(str, words)], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """The bank's record in a file."""
    path = tmp_path / "bank.json"
    write_graph(path, bank())
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A record without anything to find."""
    path = tmp_path / "clean.json"
    write_graph(path, of_pairs({(1, 2): 3, (2, 3): 1}, 3))
    return path


def test_report_tells_findings_and_fails(record: Path) -> None:
    seen = run("report", record)
    assert seen.returncode == 1, seen.stderr
    assert seen.stdout.startswith("lock order reversal:\n 1st 0x1015 ledger (ledger, sx) @ bank.py:21\n")
    assert seen.stdout.endswith(
        "5 lock classes, 4 orders, 2 processes: 8 new (1 of them unlikely), 0 known, 0 suppressed, 0 gone\n"
    )


def test_report_of_a_clean_record_is_fine(clean: Path) -> None:
    seen = run("report", clean)
    assert (seen.returncode, seen.stderr) == (0, "")
    assert seen.stdout == "3 lock classes, 2 orders, 0 processes: 0 new, 0 known, 0 suppressed, 0 gone\n"


def test_json_has_reversals_with_cycle_stacks_and_processes(record: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert run("report", record, "--json", file).returncode == 1
    value = json.loads(file.read_text())
    assert [one["name"] for one in value["classes"]] == ["accounts", "ledger", "vault", "audit", "cache"]
    assert len(value["edges"]) == 4
    reversal = value["reversals"][0]
    assert (reversal["first"], reversal["second"], reversal["cycle"]) == ("ledger", "accounts", ["ledger", "accounts"])
    assert (reversal["processes"], reversal["state"], reversal["level"]) == ([200, 100], "new", "possible")
    assert [side["stack"][0]["function"] for side in reversal["stacks"]] == [
        *("book_interest", "close_day"),
        *("transfer", "open_account"),
    ]
    assert [(one["zone"], one["action"]) for one in value["sleeps"]] == [
        ("frame", "forced M_NOWAIT"),
        (None, "reported"),
    ]
    stdout = run("report", record, "--json", "-")
    assert json.loads(stdout.stdout) == value


def test_what_the_baseline_knows_does_not_fail_and_what_is_gone_is_told(record: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    assert run("report", record, "--write-baseline", known).returncode == 1
    again = run("report", record, "--baseline", known)
    assert again.returncode == 0, again.stdout
    assert "0 new, 8 known" in again.stdout
    fewer = tmp_path / "fewer.json"
    write_graph(fewer, replace(bank(), misuses=()))
    seen = run("report", fewer, "--baseline", known)
    assert seen.returncode == 0
    assert 'gone: "vault": released without being held; take it out of the baseline' in seen.stdout


def test_suppressions_hide_and_complain_of_what_does_nothing(record: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[[suppress]]\nreason = "all of it"\nrule = "*"\n\n'
        '[[suppress]]\nreason = "once"\nrule = "recursion"\nexpires = 2001-01-01\n\n'
        '[[suppress]]\nreason = "gone"\nclasses = ["nobody"]\n'
    )
    seen = run("report", record, "--suppressions", rules)
    assert seen.returncode == 0
    assert "8 suppressed" in seen.stdout
    assert f"{rules}:5: expired on 2001-01-01 and suppresses nothing" in seen.stderr
    assert f"{rules}:10: matched nothing" in seen.stderr


def test_what_is_unlikely_fails_only_when_strict(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    graph = of_pairs({(1, 2): 1}, 2)
    write_graph(path, replace(graph, reversals=(refusal(1, 2, 1, pid=100),)))
    assert run("report", path).returncode == 0
    assert run("report", path, "--strict").returncode == 1


def test_two_records_are_read_as_one(tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    write_graph(files[0], of_pairs({(1, 2): 1}, 2))
    write_graph(files[1], replace(of_pairs({(1, 2): 1}, 2), edges=(edge(1, 2, 1, pid=200),)))
    assert [run("report", one).returncode for one in files] == [0, 0]
    both = run("report", *files)
    assert both.returncode == 1
    assert "lock order c1 -> c2 established at:" in both.stdout


def test_a_deadlock_is_told_first(tmp_path: Path) -> None:
    path = tmp_path / "dead.json"
    write_graph(path, deadlocked(bank()))
    seen = run("report", path)
    assert "happening: the wait-for graph has a ring of 2 threads now" in seen.stdout.split("\n\n")[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "gone.json"), "witness: gone.json: the file cannot be read: No such file or directory"),
        (("stat", "{record}", "--sort", "luck"), "the classes cannot be sorted by 'luck'"),
        (("graph", "{record}", "--around", "nobody"), "there is no lock class 'nobody'"),
        (("report", "{record}", "--suppressions", "{record}"), "this is no TOML"),
        (("report", "{record}", "--html", "/nowhere/page.html"), "there is no directory /nowhere"),
        (("report",), "Missing argument"),
    ],
)
def test_a_wrong_command_has_status_two_and_one_line(words: tuple[str, ...], said: str, record: Path) -> None:
    seen = run(*(word.format(record=record) for word in words))
    assert seen.returncode == 2
    assert said in seen.stderr
    assert "Traceback" not in seen.stderr


def test_order_is_ready_to_paste_and_fails_while_orders_contradict(record: Path, clean: Path) -> None:
    seen = run("order", record)
    assert seen.returncode == 1
    assert 'LOCK_ORDER = (\n    "accounts",\n    "ledger",\n' in seen.stdout
    assert (run("order", clean).returncode, json.loads(run("order", clean, "--json").stdout)["broken"]) == (0, [])
    broken = json.loads(run("order", record, "--json").stdout)["broken"]
    assert [(one["first"], one["second"]) for one in broken] == [("audit", "cache"), ("ledger", "accounts")]


def test_graph_writes_every_form(record: Path, tmp_path: Path) -> None:
    files = {form: tmp_path / f"graph.{form}" for form in ("dot", "graphml", "svg")}
    seen = run("graph", record, *(word for form, path in files.items() for word in (f"--{form}", path)))
    assert seen.returncode == 0, seen.stderr
    assert [path.read_text()[:7] for path in files.values()] == ["strict ", "<graphm", "<?xml v"]
    part = run("graph", record, "--around", "ledger", "--most", "3")
    assert part.stdout.count('label="ledger') == 1
    assert 'label="audit' not in part.stdout
    assert "3 of 5 classes are drawn" in part.stderr


def test_stat_shows_contention_and_sorts(record: Path) -> None:
    seen = run("stat", record)
    assert (seen.returncode, seen.stderr) == (0, "")
    lines = seen.stdout.splitlines()
    assert lines[2].split()[:6] == ["accounts", "3", "1.00", "9.00", "15.00", "5.00"]
    assert "contention points" in seen.stdout
    assert [one["name"] for one in json.loads(run("stat", record, "-s", "name", "-n", "2", "--json").stdout)] == [
        "accounts",
        "audit",
    ]


def test_stat_without_contention_says_that_nobody_waited(clean: Path) -> None:
    assert "no lock was found taken by another: nobody had to wait" in run("stat", clean, "--contended").stdout


def test_diff_tells_new_gone_and_known(record: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.json"
    write_graph(fewer, replace(bank(), misuses=()))
    forth, back = run("diff", fewer, record), run("diff", record, fewer)
    assert (forth.returncode, back.returncode) == (1, 0)
    assert forth.stdout.splitlines()[0] == 'new: "vault": released without being held'
    assert forth.stdout.endswith("1 new, 0 gone, 7 known\n")
    assert back.stdout.startswith('gone: "vault": released without being held\n')
    assert len(json.loads(run("diff", fewer, record, "--json").stdout)["new"]) == 1


def test_diff_reads_a_committed_baseline_and_fails_on_what_is_new(record: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    assert run("report", record, "--write-baseline", baseline).returncode == 1
    committed = Path(__file__).parents[1] / "unit" / "witness" / "analysis" / "bank-baseline.json"
    assert baseline.read_bytes() == committed.read_bytes()
    same = run("diff", committed, record)
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "0 new, 0 gone, 8 known")
    fewer = tmp_path / "fewer.json"
    fewer.write_text("".join(line for line in committed.read_text().splitlines(True) if '"recursion|' not in line))
    more = run("diff", fewer, record)
    assert (more.returncode, more.stdout.splitlines()[-1]) == (1, "1 new, 0 gone, 7 known")
    assert "recursed on non-recursive lock (sleep mutex) cache @ bank.py:" in more.stdout


def test_a_report_of_a_thousand_classes_is_made_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    write_graph(path, large())
    forms = ("--json", tmp_path / "l.json", "--sarif", tmp_path / "l.sarif", "--html", tmp_path / "l.html")
    child = subprocess.Popen(
        [*WITNESS, "report", str(path), *map(str, forms)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    pid, status, used = _wait4(child)
    assert pid == child.pid
    assert status == 1
    assert used < LIMIT_S, f"{used:.1f} s of processor time"


def _wait4(child: subprocess.Popen[bytes]) -> tuple[int, int, float]:
    """The child's end and its processor time: other work on the machine does not count."""
    pid, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return pid, child.returncode, usage.ru_utime + usage.ru_stime
