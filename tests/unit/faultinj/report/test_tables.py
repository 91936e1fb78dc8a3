"""What `faultinj report` prints: the matrix, the sweeps, the findings, one line of summary."""

from faultinj.record import Trial
from faultinj.report.tables import cells_table, findings_table, matrix_table, replay_command, summary
from faultinj.report.verdict import Verdict
from faultruns import clean_run, outcome, rich_run


def test_the_matrix_has_a_row_for_each_point_and_says_why_one_is_argued_away() -> None:
    run = rich_run()
    rows = {row[0]: row for row in matrix_table(Verdict(run)).rows}
    assert list(rows) == [point.point for point in run.points]
    assert rows["zone.ctor"] == ("zone.ctor", "SM_CTOR_FAILED", "5", "2", "-", "1", "-", "1", "finding")
    assert rows["cpu.membarrier"][-1] == "argued: this kernel has it"
    assert rows["mac.init"][-1] == "never reached"


def test_a_sweep_that_did_not_end_by_itself_says_so() -> None:
    rows = {(row[0], row[1]): row for row in cells_table(Verdict(rich_run())).rows}
    assert rows["zone.alloc", "transient"][-1] == "every place"
    assert rows["queue.put", "persistent"][-1] == "not to the end"


def test_each_finding_comes_with_the_command_that_does_it_again() -> None:
    rows = findings_table(Verdict(rich_run())).rows
    assert [row[0] for row in rows] == ["leak", "hang"]
    assert rows[0][2] == "faultinj replay zone.alloc/transient/3"


def test_a_trial_with_a_program_is_quoted_for_the_shell() -> None:
    one = outcome("app", 1, "zone.ctor")
    trial = Trial(scenario="app", kind="transient", n=1, program="zone.ctor=nth(3):return(ENOMEM)")
    again = replay_command(type(one)(trial=trial, verdict=one.verdict, result=one.result))
    assert again == "faultinj replay 'app/transient/1/program=zone.ctor=nth(3):return(ENOMEM)'"


def test_the_summary_counts_trials_faults_points_and_findings() -> None:
    assert summary(Verdict(rich_run())).endswith("2 findings")
    assert "(100.0 %); 0 findings" in summary(Verdict(clean_run()))
    assert summary(Verdict(rich_run())).startswith("7 trials in 0.5 s, 14 a second; 5 faults injected at 4 of ")
