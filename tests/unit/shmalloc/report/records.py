"""Statistics records for tests: every field zero or empty but for those given."""

import dataclasses
from typing import Any, TypeVar

from shmalloc.registry import ArenaInfo
from shmalloc.stats import (
    ArenaStatistics,
    CpuStatistics,
    CpuZoneStatistics,
    MbufStatistics,
    MbufUse,
    TypeStatistics,
    ZoneStatistics,
)

T = TypeVar("T")
_EMPTY: dict[str, Any] = {
    "str": "",
    "int": 0,
    "bool": False,
    "float": 0.0,
    "tuple": (),
    "tuple[int, ...]": (),
    "tuple[RecoveryReport, ...]": (),
    "State": "live",
    "MbufUse": MbufUse(0, 0, 0, 0, 0, 0, 0),
}


def blank(kind: type[T], **fields: object) -> T:
    """A record of this kind with these fields; the others are zero, False or empty by their annotated type."""
    assert dataclasses.is_dataclass(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        name = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
        values[field.name] = fields.pop(field.name) if field.name in fields else _EMPTY[name]
    assert not fields, f"{kind.__name__} has no {sorted(fields)}"
    made: T = kind(**values)
    return made


def zone(name: str, **fields: object) -> ZoneStatistics:
    return blank(ZoneStatistics, name=name, **fields)


def cpu(number: int, **fields: object) -> CpuStatistics:
    return blank(CpuStatistics, id=number, **{"alive": True, **fields})


def cache(cpu_number: int, zone_number: int, **fields: object) -> CpuZoneStatistics:
    return blank(CpuZoneStatistics, cpu=cpu_number, zone=zone_number, **fields)


def kind(name: str, **fields: object) -> TypeStatistics:
    return blank(TypeStatistics, name=name, **fields)


def arena(**fields: object) -> ArenaStatistics:
    return blank(ArenaStatistics, **fields)


def info(name: str, **fields: object) -> ArenaInfo:
    return blank(ArenaInfo, name=name, **fields)


def mbuf_use(current: int, cache: int, **fields: int) -> MbufUse:
    """One line: the total is the sum."""
    return blank(MbufUse, current=current, cache=cache, total=current + cache, **fields)


def mbufs(types: dict[int, int] | None = None, **fields: object) -> MbufStatistics:
    """Figures of mbufs; types: mbufs in use by m_type."""
    counts = tuple((types or {}).get(kind, 0) for kind in range(16))
    return blank(MbufStatistics, types=counts, **{"jumbop": mbuf_use(0, 0, item_bytes=4096), **fields})
