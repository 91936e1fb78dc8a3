"""JUnit XML: a case for each sweep and each point, failing for what CI has to fail for."""

import xml.etree.ElementTree as Xml

from msgspec.structs import replace

from faultinj.catalogue import points
from faultinj.record import Finding
from faultinj.report.junit import as_junit
from faultinj.report.verdict import Verdict
from faultruns import clean_run, rich_run


def test_a_clean_run_has_a_case_for_each_sweep_and_point_and_no_failure() -> None:
    root = Xml.fromstring(as_junit(Verdict(clean_run())))
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == (str(1 + len(points())), "0", "0")
    assert [suite.get("name") for suite in root] == ["sweeps", "points"]
    assert [case.get("name") for case in root[1].findall("testcase")] == [point.name for point in points()]


def test_findings_fail_their_sweep_and_say_how_to_see_them_again() -> None:
    root = Xml.fromstring(as_junit(Verdict(rich_run())))
    failures = {
        (case.get("classname"), case.get("name")): case.find("failure")
        for case in root[0].findall("testcase")
        if case.find("failure") is not None
    }
    assert set(failures) == {
        ("faultinj.zone.alloc", "transient"),
        ("faultinj.queue.put", "persistent"),
        ("faultinj.stats", "transient"),
    }
    leak = failures["faultinj.zone.alloc", "transient"]
    assert leak is not None
    assert leak.text is not None
    assert "faultinj replay zone.alloc/transient/3" in leak.text
    assert "shmalloc/zone.py:120 alloc" in leak.text
    assert root.get("failures") == str(sum(int(suite.get("failures", "")) for suite in root))


def test_points_left_out_fail_and_argued_ones_are_skipped_with_the_reason() -> None:
    root = Xml.fromstring(as_junit(Verdict(rich_run())))
    cases = {case.get("name"): case for case in root[1].findall("testcase")}
    argued = cases["cpu.membarrier"].find("skipped")
    assert argued is not None
    assert argued.get("message") == "this kernel has it"
    never = cases["mac.init"].find("failure")
    assert never is not None
    assert never.get("type") == "never reached"
    assert cases["zone.ctor"].find("failure") is None


def test_control_characters_of_a_tested_program_leave_the_document_readable() -> None:
    run = rich_run()
    odd = replace(run.outcomes[2], findings=(Finding(kind="crash", detail="\x00\x1b[31m & <"),))
    root = Xml.fromstring(as_junit(Verdict(replace(run, outcomes=(odd,)))))
    failure = root.find(".//failure[@type='crash']")
    assert failure is not None
    assert "& <" in failure.get("message", "")
