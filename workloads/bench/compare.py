"""Two benchmark reports side by side. Owns what a regression is; measures nothing.

Two runs of one noisy machine differ by chance, and two machines differ anyway: only our own figures relative to a peer
of the same run can be compared across machines. So each figure is compared by itself, and, where a target names a
peer, by its ratio to that peer as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from workloads.bench.catalogue import CASES, figure
from workloads.bench.records import MORE_IS_BETTER, BenchReport, ReportUnreadable, Sample, Verdict, is_ours, load

THRESHOLD = 1.15

Change = Literal["better", "same", "worse", "only in A", "only in B"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One subject in one case. ratio is B over A as a cost: above 1 means that B is worse, whatever the unit."""

    case: str
    subject: str
    a: float | None
    b: float | None
    ratio: float | None
    change: Change
    regression: bool


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two reports compared. regressions: rows of shmalloc's own that got worse beyond the threshold."""

    threshold: float
    same_machine: bool
    figures: tuple[Row, ...]
    targets: tuple[Row, ...]

    @property
    def regressions(self) -> tuple[Row, ...]:
        """What somebody should look at: ratios to peers always, plain figures only when the machine is the same."""
        return tuple(row for row in (*self.figures, *self.targets) if row.regression)


def cost_ratio(a: float, b: float, *, more_is_better: bool) -> float:
    """B's cost over A's. A cost of nothing in both is no change, in A alone a change without bound."""
    if more_is_better:
        a, b = b, a
    if a == 0:
        return 1.0 if b == 0 else float("inf")
    return b / a


def _row(
    case: str, subject: str, a: float | None, b: float | None, *, more_is_better: bool, threshold: float, counts: bool
) -> Row:
    ratio = None
    change: Change
    if a is None or b is None:
        change = "only in B" if a is None else "only in A"
    else:
        ratio = cost_ratio(a, b, more_is_better=more_is_better)
        change = "worse" if ratio > threshold else "better" if ratio < 1 / threshold else "same"
    return Row(
        case=case, subject=subject, a=a, b=b, ratio=ratio, change=change, regression=counts and change == "worse"
    )


def _target_key(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.case, verdict.ours, verdict.text


def compare_reports(a: BenchReport, b: BenchReport, *, threshold: float = THRESHOLD) -> Comparison:
    """Compares B with A, the one before.

    Parameters: threshold: how many times worse a figure may be before it counts, more than 1.
    Raises ValueError: threshold is not above 1.
    """
    if not threshold > 1:
        raise ValueError(f"threshold must be above 1, not {threshold}: two runs never agree exactly")
    same = a.machine == b.machine
    order = {case.name: place for place, case in enumerate(CASES)}
    ours: dict[tuple[str, str], Sample] = {(s.case, s.subject): s for s in a.samples}
    theirs: dict[tuple[str, str], Sample] = {(s.case, s.subject): s for s in b.samples}
    paired = {case.name for case in CASES if case.paired}  # the distance of the cores decides their plain figures
    figures = []
    for key in sorted({**ours, **theirs}, key=lambda k: order.get(k[0], len(order))):
        one, two = ours.get(key), theirs.get(key)
        unit = (one or theirs[key]).unit
        counts = is_ours(key[1]) and key[0] not in paired and (same or unit in ("%", "x", "bytes"))
        figures.append(
            _row(
                *key,
                one.best if one else None,
                two.best if two else None,
                more_is_better=unit in MORE_IS_BETTER,
                threshold=threshold,
                counts=counts,
            )
        )
    before = {_target_key(v): v for v in a.verdicts if v.peer is not None}
    after = {_target_key(v): v for v in b.verdicts if v.peer is not None}
    targets = []
    for target in {**before, **after}:
        was, now = before.get(target), after.get(target)
        targets.append(
            _row(
                target[0],
                f"{target[1]}: {target[2]}",
                was.value if was else None,
                now.value if now else None,
                more_is_better=(was or after[target]).sense == "times_faster",
                threshold=threshold,
                counts=True,
            )
        )
    return Comparison(threshold=threshold, same_machine=same, figures=tuple(figures), targets=tuple(targets))


_STYLE: dict[Change, str] = {
    "better": "green",
    "same": "",
    "worse": "bold red",
    "only in A": "yellow",
    "only in B": "yellow",
}


def render_comparison(comparison: Comparison) -> Table:
    """Every row; `B / A` above 1 means that B costs more."""
    units = {case.name: case.unit for case in CASES}
    table = Table(
        title=f"B against A, beyond {comparison.threshold:g}x counts"
        + ("" if comparison.same_machine else " (different machines: only ratios to peers count)"),
        title_justify="left",
    )
    for heading in ("case", "subject"):
        table.add_column(heading, overflow="fold")
    for heading in ("A", "B", "B / A"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for rows, ratios in ((comparison.figures, False), (comparison.targets, True)):
        for row in rows:
            shown = [
                "" if value is None else f"{value:.2f}x" if ratios else figure(value, units.get(row.case, "ns"))
                for value in (row.a, row.b)
            ]
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            style = _STYLE[row.change] if row.regression or row.change != "worse" else "yellow"
            table.add_row(row.case, escape(row.subject), *shown, ratio, Text(row.change, style=style))
        table.add_section()
    return table


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="The report from before.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The report to judge.")],
    threshold: Annotated[float, typer.Option(help="How many times worse counts as a regression.")] = THRESHOLD,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two reports of `workloads bench --json`; exit 1 when something of shmalloc's got worse."""
    errors = Console(stderr=True)
    try:
        comparison = compare_reports(load(a), load(b), threshold=threshold)
    except (ReportUnreadable, ValueError) as why:
        errors.print(str(why), style="red", markup=False)
        raise typer.Exit(2) from None
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(comparison), indent=2))
    else:
        Console().print(render_comparison(comparison))
    if comparison.regressions:
        errors.print(f"{len(comparison.regressions)} regressions", style="bold red")
        raise typer.Exit(1)
