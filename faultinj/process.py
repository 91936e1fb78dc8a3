"""The block in use: where this process's points are counted and looked up, and what is set in it.

Owns the choice of the block and the settings that stand for points declared later. Must not read text.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from faultinj import _faultinj, declared
from faultinj._faultinj import Armed, Block, CoreError
from faultinj.plan import UnknownPoint, compiled, matching
from faultinj.program import Plan, Setting
from shmalloc import Arena, _native
from shmalloc.attachments import open_arenas

__all__ = ["MOST_SEED", "Standing", "apply", "block_of", "current", "in_use", "standing", "use", "withdraw"]

MOST_SEED = (1 << 64) - 1
"""The greatest seed of random numbers; the least is 0."""


@dataclass(eq=False)
class Standing:
    """Settings that also hold for points that match and are declared later. ``met``: those that a point matched."""

    plan: Plan
    block: Block
    met: set[str] = field(default_factory=set)


_standing: list[Standing] = []


def current() -> Block:
    """The block in use; a new one, shared with children made by fork, if there is none.

    It is used by every ``faultinj.point`` of this process, and by every attachment to an arena that the process has or
    will have, but for arenas that are armed themselves: ``arm(arena)`` puts the arena's own block in use.
    """
    found = _faultinj.in_use()
    if found is None:
        found = Block.anonymous()
        use(found)
    return found


def in_use() -> Block | None:
    """The block in use, or None: every declared point passes."""
    return _faultinj.in_use()


def use(block: Block | None) -> None:
    """Put a block in use in this process (and its later children by fork): declared points enter it, and attachments
    are armed with it. None: no block, and every point passes."""
    _faultinj.use(block)
    if block is None:
        _native.hooks_for_new(None)
        return
    for point in declared.declared():
        point.bound()
    if block.in_arena:  # it fails that arena's points, and those that are declared
        _native.hooks_for_new(None)
        return
    block.arm_later()
    for arena in open_arenas():
        kept = block_of(arena)
        if not arena.read_only and (kept is None or not kept.in_arena):
            block.arm(_native.hooks_capsule(arena))


def block_of(arena: Arena) -> Block | None:
    """The block that an attachment reports to; None: it is not armed."""
    kept: Armed | None = _native.companion_kept(arena, "faultinj")
    return None if kept is None else kept.block


def apply(
    settings: Iterable[Setting], block: Block, *, strict: bool = True, seed: int | None = None
) -> dict[int, Setting]:
    """Give the points of a block their programs. strict: a name that no point has is an error, else it is passed over;
    seed: becomes the block's.

    Everything is compiled, and its room counted, before anything is set. Returns: what was set, by the number of the
    point.   Raises: UnknownPoint, PlanError, CoreError.
    """
    ready: dict[int, bytes] = {}
    done: dict[int, Setting] = {}
    for setting in settings:
        try:
            programs = compiled(setting, block)
        except UnknownPoint:
            if strict:
                raise
            continue
        ready |= programs
        done |= dict.fromkeys(programs, setting)
    _need_room(ready, block)
    if seed is not None:
        block.seed = seed
    for number, encoded in ready.items():
        block.program(number, encoded)
    return done


def _need_room(ready: dict[int, bytes], block: Block) -> None:
    """Raises: CoreError: the programs would not all find a place. One that is replaced gives its place back."""
    room = block.slots_free
    for number, encoded in ready.items():
        room -= len(encoded) // _faultinj.PROGRAM_BYTES
        if room < 0:
            raise CoreError(
                "SM_TABLE_FULL",
                f"this needs {sum(map(len, ready.values())) // _faultinj.PROGRAM_BYTES} places for programs, and the"
                f" block has {block.slots_free} left; clear some first, or name fewer points",
            )
        room += block.setting(number) is not None


def standing(plan: Plan, block: Block) -> Standing:
    """Let a plan hold for points that are declared from now on, until withdraw()."""
    made = Standing(plan, block)
    names = block.names()
    made.met.update(s.points for s in plan.settings if matching(s.points, names))
    _standing.append(made)
    return made


def withdraw(made: Standing) -> None:
    """End what standing() began."""
    _standing.remove(made)


def _on_declaration(point: declared.Point) -> None:
    for made in _standing:
        if made.block is not _faultinj.in_use():
            continue
        for setting in made.plan.settings:
            if matching(setting.points, (point.name,)):
                made.met.add(setting.points)
                apply((Setting(point.name, setting.program),), made.block)


declared.watch_declarations(_on_declaration)
