"""A fault run as JUnit XML, the form that CI systems show: a test case for every sweep and for every point.

Source: the JUnit 10 schema of the Jenkins xUnit plugin. A sweep fails with its findings; a point fails when it was
never injected, and is skipped with the reason when the run argues that it cannot be.
"""

from __future__ import annotations

import xml.etree.ElementTree as Xml

from faultinj.record import Cell, Coverage, Finding, Outcome
from faultinj.report.tables import replay_command, summary
from faultinj.report.verdict import Verdict, state_of
from shmalloc.report.table import printable

__all__ = ["as_junit"]


def as_junit(verdict: Verdict) -> str:
    """The report as one XML document."""
    result = verdict.result
    root = Xml.Element("testsuites", name=result.program, time=f"{result.seconds:.3f}")
    _sweeps(verdict, root)
    _points(verdict, root)
    for count in ("tests", "failures", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _sweeps(verdict: Verdict, root: Xml.Element) -> None:
    result = verdict.result
    suite = Xml.SubElement(root, "testsuite", name="sweeps", timestamp=result.started[:19])
    for cell in result.cells:
        case = Xml.SubElement(
            suite, "testcase", classname=f"faultinj.{cell.scenario}", name=cell.kind, time=f"{cell.seconds:.3f}"
        )
        found = [(outcome, finding) for outcome, finding in verdict.found if _of(outcome, cell)]
        for outcome, finding in found:
            failure = Xml.SubElement(case, "failure", type=finding.kind, message=printable(finding.detail))
            failure.text = _told(outcome, finding)
        if not found and cell.scenario in result.empty:
            reason = "nothing was ever injected in this scenario: it proves nothing"
            Xml.SubElement(case, "failure", type="empty", message=reason)
        elif not found and not cell.exhausted:
            Xml.SubElement(case, "system-out").text = "ended before every place was tried"
    Xml.SubElement(suite, "system-out").text = summary(verdict)
    _count(suite)


def _of(outcome: Outcome, cell: Cell) -> bool:
    return (outcome.trial.scenario, outcome.trial.kind) == (cell.scenario, cell.kind)


def _told(outcome: Outcome, finding: Finding) -> str:
    stack = "".join(f"    {printable(line)}\n" for line in finding.stack)
    return f"{printable(finding.detail)}\n{stack}again with: {replay_command(outcome)}\n"


def _points(verdict: Verdict, root: Xml.Element) -> None:
    suite = Xml.SubElement(root, "testsuite", name="points", timestamp=verdict.result.started[:19])
    for row in verdict.result.points:
        case = Xml.SubElement(suite, "testcase", classname="faultinj.points", name=row.point, time="0")
        _judge_point(row, verdict, case)
    _count(suite)


def _judge_point(row: Coverage, verdict: Verdict, case: Xml.Element) -> None:
    argued = verdict.result.argued
    state = state_of(row, argued)
    if state == "argued":
        Xml.SubElement(case, "skipped", message=argued[row.point])
    elif state in ("reached", "never reached"):
        Xml.SubElement(case, "failure", type=state, message=f"no fault was injected at {row.point}: {state}")


def _count(suite: Xml.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
