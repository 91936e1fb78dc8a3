"""A result survives its JSON."""

from __future__ import annotations

import json

import msgspec
import pytest

from workloads.records import Phase, RunResult, Tick, decode_report, decode_result, encode_line, encode_result


def test_a_result_read_back_is_the_same(result: RunResult) -> None:
    assert decode_result(encode_result(result).encode()) == result


def test_the_json_names_what_a_script_needs(result: RunResult) -> None:
    shown = json.loads(encode_result(result))
    wanted = {
        "workload",
        "cpus",
        "seconds",
        "ops",
        "ops_per_second",
        "violations",
        "leaked_items",
        "findings",
        "zones",
        "seed",
    }
    assert wanted <= shown.keys()
    assert shown["zones"][0]["name"] == "frame.2048"
    assert shown["violations"][0]["kind"] == "corrupt-item"


def test_lines_between_runner_and_worker_keep_their_kind() -> None:
    for report in (Tick(time_ns=5, ops=2), Phase(name="looped")):
        line = encode_line(report)
        assert line.endswith(b"\n")
        assert decode_report(line) == report


@pytest.mark.parametrize("line", [b"hello\n", b"{}", b'{"type":"phase","name":"lunch"}'])
def test_a_line_of_another_kind_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_report(line)
