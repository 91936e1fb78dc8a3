"""The cells of a campaign: what its lists multiply to, over the scenarios and points that there are.

Owns the order of the cells, which is that of the file. Must not run anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from faultinj.campaign.spec import Campaign, Source, near
from faultinj.record import Kind

__all__ = ["PlannedCell", "cells_of", "chosen"]


class PlannedCell(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario with one kind of fault, one glob of points and one seed; `most`: how many trials, None: no limit."""

    scenario: str
    kind: Kind
    points: str = "*"
    seed: int = 0
    most: int | None = None

    @property
    def key(self) -> tuple[str, Kind, str, int]:
        """What tells it from other cells."""
        return (self.scenario, self.kind, self.points, self.seed)

    def __str__(self) -> str:
        more = f" points={self.points}" if self.points != "*" else ""
        return f"{self.scenario}/{self.kind}{more}" + (f" seed={self.seed}" if self.seed else "")


def cells_of(
    campaign: Campaign, source: Source, *, scenarios: Mapping[str, Sequence[Kind]], points: Sequence[str]
) -> tuple[PlannedCell, ...]:
    """Multiply the lists of every [[sweep]].

    Parameters: scenarios: all that there are, with the kinds that make sense for each; the others are left out.
    Returns: the cells in the order of the file, each once: what two sweeps ask for is done to the larger limit.
    Raises: CampaignUnreadable: a glob that matches no scenario, or no point; names the nearest ones.
    """
    found: dict[tuple[str, Kind, str, int], PlannedCell] = {}
    for at, sweep in enumerate(campaign.sweep):
        names = _matches(sweep.scenarios, tuple(scenarios), source, ("sweep", at, "scenarios"), "scenario")
        _matches(sweep.points, points, source, ("sweep", at, "points"), "point")
        limits = [n for n in (sweep.n, campaign.limits.n) if n is not None]
        for scenario in names:
            for kind in (kind for kind in sweep.kinds if kind in scenarios[scenario]):
                # A kill counts crash points, which have no names: globs over the fault points do not divide them.
                for glob in ("*",) if kind == "kill" else sweep.points:
                    for seed in sweep.seeds:
                        cell = PlannedCell(
                            scenario=scenario, kind=kind, points=glob, seed=seed, most=min(limits, default=None)
                        )
                        found[cell.key] = _larger(found.get(cell.key, cell), cell)
    _matches(campaign.gate.points, points, source, ("gate", "points"), "point")
    for name in campaign.argued:
        if name not in points:
            raise source.wrong(("argued", name), f"no point is called {name!r}; {near(name, points)}")
    return tuple(found.values())


def chosen(globs: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """The names that one of the globs matches, in their own order."""
    patterns = tuple(globs)
    return tuple(name for name in names if any(fnmatchcase(name, glob) for glob in patterns))


def _matches(
    globs: Sequence[str], names: Sequence[str], source: Source, key: tuple[str | int, ...], noun: str
) -> tuple[str, ...]:
    for at, glob in enumerate(globs):
        if not chosen((glob,), names):
            said = "no {0} matches" if any(c in glob for c in "*?[") else "no {0} is called"
            raise source.wrong((*key, at), f"{said.format(noun)} {glob!r}; {near(glob, names)}")
    return chosen(globs, names)


def _larger(one: PlannedCell, other: PlannedCell) -> PlannedCell:
    if one.most is None or other.most is None:
        return msgspec.structs.replace(one, most=None)
    return msgspec.structs.replace(one, most=max(one.most, other.most))
