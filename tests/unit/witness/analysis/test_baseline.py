"""A baseline knows findings again; it does not change with pids and line numbers."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from lockgraphs import bank
from witness.analysis.baseline import compare, read_baseline, write_baseline
from witness.analysis.findings import analyse
from witness.record import GraphUnreadable, write_graph


def test_findings_are_new_known_or_gone(tmp_path: Path) -> None:
    whole = analyse(bank()).findings
    fewer = analyse(replace(bank(), sleeps=(), misuses=())).findings
    path = tmp_path / "baseline.json"
    write_baseline(path, fewer)
    difference = compare(whole, read_baseline(path))
    assert {one.rule for one in difference.new} == {"sleep-under-lock", "lock-misuse"}
    assert {one.key for one in difference.known} == {one.key for one in fewer}
    assert difference.gone == ()
    write_baseline(path, whole)
    assert len(compare(fewer, read_baseline(path)).gone) == len(whole) - len(fewer) == 3


def test_the_file_is_the_same_for_another_run_of_the_same_program(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    write_baseline(one, analyse(bank()).findings)
    write_baseline(other, reversed(analyse(replace(bank(), processes=())).findings))
    assert one.read_bytes() == other.read_bytes()
    assert one.read_text().count('{"key": ') == len(analyse(bank()).findings)


def test_a_baseline_of_nothing_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(path, ())
    assert read_baseline(path).findings == ()


def test_a_graph_record_serves_as_baseline(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    write_graph(path, bank())
    assert compare(analyse(bank()).findings, read_baseline(path)).new == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "this is neither a baseline"),
        ('{"baseline_version": 7, "findings": []}', "the baseline has version 7 and this witness reads 1"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(GraphUnreadable, match=said):
        read_baseline(path)


def test_a_missing_baseline_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphUnreadable, match=r"gone\.json: the baseline cannot be read: No such file"):
        read_baseline(tmp_path / "gone.json")
