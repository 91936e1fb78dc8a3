"""Scenarios: small programs whose every failure is tried. Owns the registry and the search for scenarios of others.

A scenario does one public operation, or a small piece of work, and puts everything back with ordinary error
handling. It is written as a generator, so that what it needs is there before anything can fail::

    @scenario("zone.alloc", group="allocator", covers=("Zone.alloc",), text="one item out of a zone")
    def zone_alloc(ctx: Context) -> Steps:
        frames = ctx.arena.zone("frame", size=256)
        yield  # from here on points fail
        with ctx.allocating("frame"):
            item = frames.alloc(M_NOWAIT)
        item.free()

Before the first ``yield`` nothing fails; between the first and the second, or the end, it does; after the second
nothing
fails any more. A function that never yields is under faults from its first line. It must be deterministic: whatever is
random comes from ``ctx.random``. Run twice in one arena it must succeed twice.

Must not run a scenario: that is ``trial``'s.
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faultinj.sweep.context import Context

__all__ = ["GROUP", "Scenario", "ScenarioError", "Steps", "find", "load", "loaded", "names", "scenario", "select"]

GROUP = "faultinj.scenarios"
"""Entry points of this group name modules whose import registers scenarios."""

SHIPPED = "faultinj.scenarios"
KINDS = ("transient", "persistent", "kill", "pair", "kill-pair")

Steps = Iterator[None]
Body = Callable[["Context"], Steps | None]


class ScenarioError(LookupError):
    """There is no scenario of this name, two of one name, or a module of scenarios that cannot be imported."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario.

    covers: the public operations it performs, such as "Zone.alloc". kinds: the faults it is made for. errors: codes
    of the
    core that it may end with besides that of the injected point, each a documented translation. settle: what puts its
    leavings right after it was killed, beyond emptying queues and sockbufs. limit_s: longer than that is a hang. meant:
    what further oracles may find, because it is there to provoke just that: globs over their sentences.
    """

    name: str
    group: str
    text: str
    body: Body
    covers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = KINDS
    errors: tuple[str, ...] = ()
    settle: Callable[["Context"], None] | None = None
    limit_s: float = 20.0
    module: str = ""
    meant: tuple[str, ...] = ()


_scenarios: dict[str, Scenario] = {}
_modules: list[str] = []
_all_looked_for: list[str] = []


def scenario(
    name: str,
    *,
    group: str,
    text: str,
    covers: Iterable[str] = (),
    kinds: Iterable[str] = KINDS,
    errors: Iterable[str] = (),
    settle: Callable[["Context"], None] | None = None,
    limit_s: float = 20.0,
    meant: Iterable[str] = (),
) -> Callable[[Body], Body]:
    """Register the decorated function as a scenario; parameters as the fields of Scenario.

    Raises: ScenarioError: another scenario has this name.
    """

    def register(body: Body) -> Body:
        module = str(getattr(body, "__module__", ""))
        made = Scenario(
            name=name,
            group=group,
            text=text,
            body=body,
            covers=tuple(covers),
            kinds=tuple(kinds),
            errors=tuple(errors),
            settle=settle,
            limit_s=limit_s,
            module=module,
            meant=tuple(meant),
        )
        there = _scenarios.get(name)
        if there is not None and there.module != module:
            raise ScenarioError(
                f"two scenarios are named {name!r}, in {there.module} and in {module}; rename one of them"
            )
        _scenarios[name] = made
        return body

    return register


def load(modules: Iterable[str] = ()) -> None:
    """Import the shipped scenarios, those of the entry points, and these modules; what is there already is not
    repeated.

    Raises: ScenarioError: a module cannot be imported; the cause says why.
    """
    wanted = list(modules)
    if not _all_looked_for:
        _all_looked_for.append(SHIPPED)
        found = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name)
        wanted = [SHIPPED, *(point.value for point in found), *wanted]
    for module in wanted:
        if module in _modules:
            continue
        try:
            importlib.import_module(module)
        except ImportError as cause:
            raise ScenarioError(
                f"the module of scenarios {module!r} cannot be imported ({cause}); install it, or set PYTHONPATH"
            ) from cause
        _modules.append(module)


def loaded() -> tuple[str, ...]:
    """The modules that ``load`` has imported, for a process that is to know the same scenarios."""
    return tuple(_modules)


def names() -> tuple[str, ...]:
    """Names of all registered scenarios, in the order in which they were registered."""
    load()
    return tuple(_scenarios)


def find(name: str) -> Scenario:
    """The scenario of this name. Raises: ScenarioError, which names the nearest ones."""
    load()
    try:
        return _scenarios[name]
    except KeyError:
        near = [other for other in _scenarios if name.split(".")[0] == other.split(".")[0]] or list(_scenarios)
        raise ScenarioError(
            f"there is no scenario {name!r}; there are {', '.join(near[:12])} and more: faultinj sweep --list"
        ) from None


def select(patterns: Iterable[str]) -> tuple[Scenario, ...]:
    """Scenarios by name, glob ("zone.*") or group; all without patterns. Raises: ScenarioError: one matches nothing."""
    import fnmatch

    load()
    wanted = list(patterns)
    if not wanted:
        return tuple(_scenarios.values())
    chosen: dict[str, Scenario] = {}
    for pattern in wanted:
        found = [s for s in _scenarios.values() if s.group == pattern or fnmatch.fnmatchcase(s.name, pattern)]
        if not found:
            find(pattern)  # raises, with the nearest names
        chosen.update((s.name, s) for s in found)
    return tuple(chosen.values())


def _forget(name: str) -> Any:
    """Take a scenario out of the registry again, for tests that plant one."""
    return _scenarios.pop(name, None)
