"""Every public operation has a scenario: what is new in the API needs one, or a reason here why not."""

import inspect

import shmalloc
from faultinj.sweep import find, names
from shmalloc.mac import Mac
from shmalloc.mbuf import Mbufq, Mbufs, MTag
from shmalloc.sockbuf import Sockbuf
from shmalloc.sysctl import Sysctl

CLASSES = (
    shmalloc.Arena,
    shmalloc.Zone,
    shmalloc.SecondaryZone,
    shmalloc.Item,
    shmalloc.RefCount,
    shmalloc.Queue,
    shmalloc.Mutex,
    shmalloc.RWLock,
    shmalloc.SxLock,
    shmalloc.Semaphore,
    shmalloc.Condition,
    shmalloc.Supervisor,
    shmalloc.Mbuf,
    Mbufs,
    MTag,
    Mbufq,
    Sockbuf,
    Mac,
    Sysctl,
)

# Operation: why no fault can meet it, or which scenario meets it under another name.
WITHOUT = {
    "Sysctl.clear": "of the mapping: deletes each name, see __delitem__",
    "Sysctl.get": "of the mapping, see __getitem__",
    "Sysctl.items": "of the mapping, see __getitem__",
    "Sysctl.keys": "of the mapping: names only",
    "Sysctl.pop": "of the mapping, see __delitem__",
    "Sysctl.popitem": "of the mapping, see __delitem__",
    "Sysctl.setdefault": "of the mapping, see __setitem__",
    "Sysctl.update": "of the mapping, see __setitem__",
    "Sysctl.values": "of the mapping, see __getitem__",
    "Supervisor.run": "a loop of step()",
    "Supervisor.start": "run() in a thread",
    "Supervisor.stop": "sets a flag",
}


def _operations(cls: type) -> set[str]:
    return {
        f"{cls.__name__}.{name}"
        for name, what in inspect.getmembers(cls)
        if not name.startswith("_") and not inspect.isdatadescriptor(what) and callable(what)
    }


def _covered() -> set[str]:
    covered: set[str] = set()
    for name in names():
        for operation in find(name).covers:
            covered.add(operation)
            cls, _, method = operation.partition(".")
            if cls == "Zone":
                covered.add(f"SecondaryZone.{method}")
    return covered


def test_every_public_operation_has_a_scenario() -> None:
    missing = set().union(*map(_operations, CLASSES)) - _covered() - set(WITHOUT)
    assert not missing, f"give each a scenario in faultinj/scenarios, or a reason in WITHOUT: {sorted(missing)}"


def test_what_a_scenario_says_it_performs_exists() -> None:
    known = {cls.__name__: cls for cls in CLASSES}
    for name in names():
        for operation in find(name).covers:
            cls, _, method = operation.partition(".")
            assert hasattr(known[cls], method), f"{name} covers {operation}, which does not exist"


def test_no_reason_is_given_for_what_has_a_scenario() -> None:
    assert not set(WITHOUT) & _covered()


def test_every_class_of_the_package_is_looked_at() -> None:
    exempt = {"MbufView", "Pkthdr"}  # hold nothing: they look at a packet
    public = {
        name
        for name in shmalloc.__all__
        if inspect.isclass(getattr(shmalloc, name))
        and getattr(shmalloc, name).__module__.startswith(("shmalloc._native", "shmalloc.arena", "shmalloc.zone"))
    }
    assert public - {cls.__name__ for cls in CLASSES} - exempt == set()
