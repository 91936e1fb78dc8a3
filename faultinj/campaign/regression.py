"""Regression files: a trial that once found something, in a few lines of TOML that a person reads and `make test` runs.

    about = "a failed ctor left the item constructing"   # what it was, in one sentence
    expect = "clean"    # it is repaired; or the kind of finding that is still there, such as "leak"

    [trial]
    scenario = "zone.alloc"
    kind = "transient"
    n = 3
    points = "zone.ctor"

Owns the form and the judgement. Must not know where trials run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from faultinj.campaign.spec import CampaignUnreadable, read_text, typed
from faultinj.record import Outcome, Trial
from faultinj.trial_id import replay_command

__all__ = ["CLEAN", "Regression", "RegressionFails", "check_regression", "read_regression", "save_regression"]

CLEAN = "clean"
_MOST = 10**18 - 1


class Regression(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A regression file. `expect`: "clean", or the kind of the finding that is known and not repaired yet; `found`:
    what it said when it was found; `imports`: modules that declare the scenario."""

    about: str
    trial: Trial
    expect: str = CLEAN
    found: str = ""
    imports: tuple[str, ...] = ()


class RegressionFails(AssertionError):
    """A trial did not come to what its file expects. Fields: regression, outcome."""

    def __init__(self, regression: Regression, outcome: Outcome, why: str) -> None:
        super().__init__(f"{regression.about}: {why}; again: {replay_command(regression.trial)}")
        self.regression = regression
        self.outcome = outcome


def read_regression(path: Path) -> Regression:
    """Read a regression file. Raises: CampaignUnreadable: names the line."""
    regression, source = typed(read_text(path), str(path), Regression)
    if not regression.about.strip():
        raise source.wrong(("about",), "say in one sentence what the trial found")
    trial = regression.trial
    least = int(trial.kind.endswith("pair"))
    for key, value, from_ in (("n", trial.n, 1), ("n2", trial.n2, least), ("seed", trial.seed, -_MOST)):
        if not from_ <= value <= (least * _MOST if key == "n2" else _MOST):
            raise source.wrong(("trial", key), f"{value} is no {key} of a trial that is {trial.kind}")
    return regression


def check_regression(regression: Regression, run: Callable[[Trial], Outcome]) -> Outcome:
    """Run the trial and compare.

    Raises: RegressionFails: the finding is back; or it is gone although it is expected; or the trial injects nothing
    any more and so proves nothing.
    """
    outcome = run(regression.trial)
    seen = [finding.kind for finding in outcome.findings]
    if regression.expect == CLEAN and outcome.findings:
        first = outcome.findings[0]
        raise RegressionFails(regression, outcome, f"{first.kind} is back: {first.detail}")
    if regression.expect not in (CLEAN, *seen):
        why = f"{regression.expect!r} is gone, it came to {', '.join(seen) or outcome.verdict}"
        raise RegressionFails(regression, outcome, f'{why}; if it is repaired, write expect = "{CLEAN}"')
    if not outcome.injected:
        why = "its fault is not injected any more, so it proves nothing: find the new n, or remove the file"
        raise RegressionFails(regression, outcome, why)
    return outcome


def save_regression(path: Path, outcome: Outcome, *, about: str = "", imports: tuple[str, ...] = ()) -> Regression:
    """Write a finding as a regression file that expects it to be repaired. A directory gets a file named after the
    trial.

    Returns: what was written. Raises: CampaignUnreadable: a file is there already, or the outcome has no finding.
    """
    if not outcome.findings:
        raise CampaignUnreadable(str(path), 0, "", f"{outcome.trial.id} found nothing that could be kept")
    first = outcome.findings[0]
    regression = Regression(
        about=about or f"{first.kind} in {outcome.trial.scenario}",
        trial=outcome.trial,
        found=f"{first.kind}: {first.detail}",
        imports=imports,
    )
    place = path / f"{_file_name(outcome.trial)}.toml" if path.is_dir() else path
    try:
        with place.open("x", encoding="utf-8") as file:
            file.write(_written(regression))
    except OSError as error:
        raise CampaignUnreadable(str(place), 0, "", f"cannot be written: {error.strerror}") from error
    return regression


def _file_name(trial: Trial) -> str:
    return "".join(char if char.isalnum() or char in "._+=" else "-" for char in trial.id)


def _written(regression: Regression) -> str:
    lines = [
        f"# {replay_command(regression.trial)}",
        f"about = {_string(regression.about)}",
        f"expect = {_string(regression.expect)}",
    ]
    if regression.found:
        lines.append(f"found = {_string(regression.found)}")
    if regression.imports:
        lines.append(f"imports = [{', '.join(map(_string, regression.imports))}]")
    lines += ["", "[trial]"]
    for field in msgspec.structs.fields(Trial):
        value = getattr(regression.trial, field.name)
        if field.required or value != field.default:
            lines.append(f"{field.name} = {_string(value) if isinstance(value, str) else value}")
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
