"""The C level: builds the programs, runs them all, and asks them in turns. Owns the order of the questions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from tempfile import TemporaryDirectory

from workloads.bench.build import Unavailable, cache_directory
from workloads.bench.catalogue import case as case_of
from workloads.bench.catalogue import wanted
from workloads.bench.lockchecks import LOCK_CHECKERS
from workloads.bench.program import Program
from workloads.bench.round import Progress, Tableau
from workloads.bench.subjects import NATIVES, Launch, Native, Question

ANSWER_TIMEOUT_S = 60.0


def measure_native(
    tableau: Tableau,
    *,
    only: str | None,
    repeat: int,
    budget_ms: float,
    cores: tuple[int, int],
    progress: Progress,
    natives: Sequence[Native] = (*NATIVES, *LOCK_CHECKERS),
) -> None:
    """Measures every wanted case of the C level, subjects interleaved run by run.

    Each run has processes of its own: where the system happens to put a process's memory changes its figures by up to
    a half, for its whole life.
    """
    cache = cache_directory()
    ready: list[tuple[Launch, tuple[Question, ...]]] = []
    for native in natives:
        questions = tuple(question for question in native.questions if wanted(only, question.case))
        if not questions:
            continue
        progress(f"building {native.name}")
        try:
            ready.append((native.prepare(cache), questions))
        except Unavailable as why:
            for question in questions:
                tableau.skip(question.case, question.subject, str(why))
    refused: set[tuple[str, str]] = set()
    for turn in range(repeat):
        with ExitStack() as stack:
            scratch = stack.enter_context(TemporaryDirectory(prefix="shmalloc-bench-"))
            asked: list[tuple[Program, Question]] = []
            for launch, questions in ready:
                program = stack.enter_context(
                    Program(
                        launch.path,
                        cores=cores,
                        budget_ms=budget_ms,
                        through=launch.through,
                        environment={**launch.environment, "RUNTIME_DIRECTORY": scratch},  # EAL's run-time files
                    )
                )
                asked += [(program, question) for question in questions]
            asked.sort(key=lambda pair: pair[1].case)  # the subjects of a case follow each other
            for program, question in asked:
                key = (question.case, question.subject)
                if key in refused or (turn > 0 and case_of(question.case).unit in ("bytes", "%")):
                    continue  # memory is not noisy: once is enough
                try:
                    value = program.ask(question.command, timeout_s=ANSWER_TIMEOUT_S)
                except Unavailable as why:
                    refused.add(key)
                    tableau.skip(question.case, question.subject, str(why))
                else:
                    tableau.add(question.case, question.subject, value, note=question.note)
        progress(f"C level, run {turn + 1} of {repeat}")
