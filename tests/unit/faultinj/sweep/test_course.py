"""The stop rule: n goes up until a run injected nothing."""

from faultinj.record import Finding, Injection, Outcome, Trial
from faultinj.sweep.course import Course, Task


def _outcome(trial: Trial, injected: int, *findings: str) -> Outcome:
    rows = tuple(Injection(point="zone.alloc", action="return", sequence=i) for i in range(injected))
    found = tuple(Finding(kind=kind, detail="") for kind in findings)
    verdict = "finding" if found else "clean" if injected else "nothing injected"
    return Outcome(trial=trial, verdict=verdict, result="success", injected=rows, findings=found)  # type: ignore[arg-type]


def _walk(task: Task, points: int) -> tuple[list[tuple[int, int]], Course]:
    """The trials of a scenario that reaches so many points."""
    course, seen = Course(task), []
    while (trial := course.current) is not None:
        seen.append((trial.n, trial.n2))
        first = trial.n <= points
        second = trial.n2 > 0 and first and trial.n + trial.n2 <= points
        course.feed(_outcome(trial, first + second))
    return seen, course


def test_one_fault_is_tried_at_each_point_and_once_beyond() -> None:
    seen, course = _walk(Task(trial=Trial(scenario="s", kind="transient", n=1)), 3)
    assert seen == [(1, 0), (2, 0), (3, 0), (4, 0)]
    assert course.exhausted


def test_a_piece_ends_at_its_last_and_is_not_exhausted() -> None:
    seen, course = _walk(Task(trial=Trial(scenario="s", kind="transient", n=2), last=3), 9)
    assert seen == [(2, 0), (3, 0)]
    assert not course.exhausted


def test_a_finding_without_a_fault_ends_the_cell() -> None:
    course = Course(Task(trial=Trial(scenario="s", kind="transient", n=1)))
    course.feed(_outcome(Trial(scenario="s", kind="transient", n=1), 0, "leak"))
    assert course.current is None
    assert course.exhausted


def test_every_pair_of_faults_is_tried() -> None:
    seen, course = _walk(Task(trial=Trial(scenario="s", kind="pair", n=1)), 3)
    assert seen == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1), (4, 1)]
    assert course.exhausted


def test_pairs_end_at_their_bound() -> None:
    seen, course = _walk(Task(trial=Trial(scenario="s", kind="pair", n=1), pairs=2), 3)
    assert seen == [(1, 1), (1, 2)]
    assert course.cut
    assert not course.exhausted


def test_a_cell_that_only_hangs_is_given_up() -> None:
    course, runs = Course(Task(trial=Trial(scenario="s", kind="transient", n=1))), 0
    while (trial := course.current) is not None:
        runs += 1
        course.feed(_outcome(trial, 1, "hang"))
    assert (runs, course.cut, course.exhausted) == (3, True, False)
