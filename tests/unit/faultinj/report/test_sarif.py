"""The SARIF log is valid by the part of the 2.1.0 schema that it uses, and its fingerprints outlive a moved line."""

import json
from pathlib import Path

import jsonschema
from msgspec.structs import replace

from faultinj.record import Trial
from faultinj.report.sarif import as_sarif
from faultinj.report.verdict import Verdict
from faultruns import clean_run, rich_run

SCHEMA = json.loads((Path(__file__).parents[2] / "witness/report/sarif-2.1.0-used.json").read_text())


def test_every_finding_is_a_valid_result_where_its_stack_begins(tmp_path: Path) -> None:
    log = as_sarif(Verdict(rich_run()), root=tmp_path)
    jsonschema.validate(json.loads(json.dumps(log)), SCHEMA)
    leak, hang = log["runs"][0]["results"]
    assert leak["ruleId"] == "leak"
    assert leak["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "shmalloc/zone.py", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 120},
    }
    assert "faultinj replay zone.alloc/transient/3" in leak["message"]["text"]
    assert "physicalLocation" not in hang["locations"][0]
    assert hang["locations"][0]["logicalLocations"][0]["name"] == "queue.put"
    rules = [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]]
    assert rules[leak["ruleIndex"]] == "leak"


def test_a_fingerprint_does_not_change_with_the_number_of_the_trial_nor_with_counts() -> None:
    def fingerprint(n: int, items: int) -> str:
        run = rich_run()
        [finding] = run.outcomes[2].findings
        finding = replace(finding, detail=finding.detail.replace("3", str(items)))
        moved = replace(run.outcomes[2], trial=Trial(scenario="zone.alloc", kind="transient", n=n), findings=(finding,))
        [result] = as_sarif(Verdict(replace(run, outcomes=(moved,))))["runs"][0]["results"]
        return str(result["partialFingerprints"]["faultinj/v1"])

    assert fingerprint(3, 3) == fingerprint(9, 12)


def test_a_clean_run_is_a_valid_log_without_results() -> None:
    log = as_sarif(Verdict(clean_run()))
    jsonschema.validate(json.loads(json.dumps(log)), SCHEMA)
    assert log["runs"][0]["results"] == []
