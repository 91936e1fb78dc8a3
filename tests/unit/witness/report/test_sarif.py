"""The SARIF log is valid by the part of the 2.1.0 schema that it uses, and points at the acquisition."""

import json
from pathlib import Path

import jsonschema
from msgspec.structs import replace

from lockgraphs import bank, deadlocked
from witness.analysis.findings import analyse
from witness.analysis.suppressions import Suppression
from witness.record import Frame
from witness.report.sarif import as_sarif
from witness.report.verdict import Verdict

SCHEMA = json.loads(Path(__file__).with_name("sarif-2.1.0-used.json").read_text())


def test_every_finding_is_a_valid_result_at_its_acquisition(tmp_path: Path) -> None:
    analysis = analyse(deadlocked(bank()))
    log = as_sarif(Verdict(analysis, new=analysis.findings), root=tmp_path)
    jsonschema.validate(json.loads(json.dumps(log)), SCHEMA)
    results = log["runs"][0]["results"]
    assert len(results) == len(analysis.findings)
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    for result, finding in zip(results, analysis.findings, strict=True):
        place = result["locations"][0]["physicalLocation"]
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule
        assert finding.site is not None
        assert place == {
            "artifactLocation": {"uri": "bank.py", "uriBaseId": "SRCROOT"},
            "region": {"startLine": finding.site.line},
        }
        assert len(result["stacks"]) == len([side for side in finding.sides if side.stack])


def test_known_and_suppressed_findings_say_so_and_unlikely_ones_are_notes() -> None:
    analysis = analyse(bank())
    known, hidden, *new = analysis.findings
    verdict = Verdict(analysis, new=tuple(new), known=(known,), suppressed=((hidden, Suppression("it may", rule="*")),))
    log = as_sarif(verdict)
    jsonschema.validate(json.loads(json.dumps(log)), SCHEMA)
    results = log["runs"][0]["results"]
    assert [result["baselineState"] for result in results] == ["unchanged"] + ["new"] * (len(results) - 1)
    assert results[1]["suppressions"] == [{"kind": "external", "justification": "it may"}]
    assert all("suppressions" not in result for result in results[2:])
    assert {r["level"] for r in results if r["properties"]["likelihood"] == "unlikely"} == {"note"}


def test_places_outside_the_root_and_odd_names_are_proper_uris(tmp_path: Path) -> None:
    graph = bank()
    files = {"leave": "/usr/lib/a b.py", "nap": "<string>"}

    def moved(frame: Frame) -> Frame:
        return replace(frame, file=files.get(frame.function, frame.file))

    def move(record):  # type: ignore[no-untyped-def]
        return replace(record, side=replace(record.side, stack=tuple(map(moved, record.side.stack))))

    graph = replace(graph, sleeps=tuple(map(move, graph.sleeps)), misuses=tuple(map(move, graph.misuses)))
    analysis = analyse(graph)
    log = as_sarif(Verdict(analysis, new=analysis.findings), root=tmp_path)
    jsonschema.validate(json.loads(json.dumps(log)), SCHEMA)
    uris = {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in log["runs"][0]["results"]}
    assert {"file:///usr/lib/a%20b.py", "%3Cstring%3E", "bank.py"} <= uris


def test_the_schema_refuses_what_sarif_does_not_have() -> None:
    analysis = analyse(bank())
    log = as_sarif(Verdict(analysis, new=analysis.findings))
    errors = jsonschema.Draft7Validator(SCHEMA)
    result = log["runs"][0]["results"][0]
    for change in ({"level": "fatal"}, {"ruleIndex": -2}, {"baselineState": "old"}, {"place": "here"}):
        broken = {**log, "runs": [{**log["runs"][0], "results": [{**result, **change}]}]}
        assert not errors.is_valid(json.loads(json.dumps(broken))), change
