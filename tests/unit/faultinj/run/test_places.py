"""The catalogue of places: the errors are those that the system itself gives."""

import errno
import importlib
import os
import socket
from pathlib import Path

import pytest

import faultinj
from faultinj.run.places import PLACES, Place, SystemPoint
from faultinj.run.places.place import named
from faultinj.run.places.sockets import SOCKETS


def point(place: Place) -> SystemPoint:
    """A point of this place that is in no list, in the block in use."""
    made = SystemPoint(place)
    made.bound()
    return made


@pytest.mark.parametrize("place", [p for p in PLACES if p.targets], ids=lambda p: p.name)
def test_what_a_place_replaces_is_there(place: Place) -> None:
    for target in place.targets:
        module, _, attribute = target.partition(":")
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        assert callable(found)


def test_errors_that_make_sense_are_none_twice() -> None:
    for place in PLACES:
        assert place.error not in place.others


def test_names_are_unique_and_no_point_of_the_core() -> None:
    names = [place.name for place in PLACES]
    assert len(set(names)) == len(names)
    assert not set(names) & {p.name for p in faultinj.points() if p.error.startswith("SM_")}


def test_an_error_is_the_genuine_one() -> None:
    place = Place("t.open", (), errno.EMFILE, "", paths=("path",))
    faultinj.use(faultinj.Block.anonymous())
    made = point(place)
    with pytest.raises(FileNotFoundError) as genuine:
        os.open("/nowhere/at/all", os.O_RDONLY)
    with faultinj.inject("t.open=return(ENOENT)"), pytest.raises(FileNotFoundError) as injected:
        made.reach("/nowhere/at/all", 0, ("/nowhere/at/all",))
    assert (type(injected.value), injected.value.args, str(injected.value), injected.value.filename) == (
        type(genuine.value),
        genuine.value.args,
        str(genuine.value),
        genuine.value.filename,
    )


def test_an_error_names_what_a_path_object_says() -> None:
    faultinj.use(faultinj.Block.anonymous())
    made = point(Place("t.open", (), errno.EMFILE, "", paths=("path",)))
    path = Path("/nowhere/at/all")
    with pytest.raises(FileNotFoundError) as genuine:
        os.open(path, os.O_RDONLY)
    with faultinj.inject("t.open=return(ENOENT)"), pytest.raises(FileNotFoundError) as injected:
        made.reach(path, 0, (path,))
    assert (injected.value.filename, str(injected.value)) == (genuine.value.filename, str(genuine.value))


def test_an_error_of_two_paths_carries_both() -> None:
    made_place = Place("t.rename", (), errno.EACCES, "", paths=("src", "dst"))
    faultinj.use(faultinj.Block.anonymous())
    made = point(made_place)
    with pytest.raises(FileNotFoundError) as genuine:
        os.rename("/nowhere/a", "/nowhere/b")
    with faultinj.inject("t.rename=return(ENOENT)"), pytest.raises(FileNotFoundError) as injected:
        made.reach("/nowhere/a", 0, ("/nowhere/a", "/nowhere/b"))
    assert str(injected.value) == str(genuine.value)
    assert (injected.value.filename, injected.value.filename2) == ("/nowhere/a", "/nowhere/b")


def test_paths_of_one_call_are_not_those_of_the_next() -> None:
    faultinj.use(faultinj.Block.anonymous())
    first, second = point(Place("t.a", (), errno.EIO, "", paths=("path",))), point(Place("t.b", (), errno.EIO, ""))
    first.reach("/a", 0, ("/a",))
    with faultinj.inject("t.b=return"), pytest.raises(OSError, match="Input") as injected:
        second.reach()
    assert injected.value.filename is None


def test_two_raisings_of_one_exception_share_nothing() -> None:
    faultinj.use(faultinj.Block.anonymous())
    made = point(Place("t.thread", (), RuntimeError("can't start new thread"), ""))
    caught = []
    with faultinj.inject("t.thread=return"):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start new thread") as injected:
                made.reach()
            caught.append(injected.value)
    assert caught[0] is not caught[1]


def test_a_socket_of_a_descriptor_that_is_there_asks_for_none() -> None:
    spared = next(place.spared for place in SOCKETS if place.name == "socket.create")
    assert spared is not None
    assert spared((None, socket.AF_INET, socket.SOCK_STREAM, 0, 7), {})
    assert spared((None,), {"fileno": 7})
    assert not spared((None, socket.AF_INET), {"fileno": None})


def test_a_number_is_how_many_bytes_are_moved_where_bytes_are_and_an_errno_elsewhere() -> None:
    faultinj.use(faultinj.Block.anonymous())
    reads, writes = (
        point(Place("t.read", (), errno.EIO, "", moves=1, least=0)),
        point(Place("t.write", (), errno.EIO, "", moves=1)),
    )
    plain = point(Place("t.plain", (), errno.EIO, ""))
    with faultinj.inject("t.read=return(0); t.write=return(0); t.plain=return(28)"):
        assert reads.reach(7, 100) == 0
        assert writes.reach(7, 100) == 1
        with pytest.raises(OSError, match="No space left"):
            plain.reach()
    assert reads.reach(7, 100) is None


def test_a_path_that_is_no_text_can_be_a_subject() -> None:
    faultinj.use(faultinj.Block.anonymous())
    made = point(Place("t.raw", (), errno.EIO, "", paths=("path",)))
    with faultinj.inject("t.raw=print"):
        made.reach(b"/tmp/\xff\xfe", 0, (b"/tmp/\xff\xfe",))
    assert named(("127.0.0.1", 80)) == "127.0.0.1:80"
    assert named([b"/bin/sh", b"/usr/bin/sh"]) == "/bin/sh"


def test_calls_that_do_not_count_reach_nothing() -> None:
    faultinj.use(faultinj.Block.anonymous())
    made = point(Place("t.quiet", (), errno.EIO, ""))
    made.counts = lambda: False
    with faultinj.inject("t.quiet=return") as guard:
        assert made.reach() is None
    assert guard.reached == 0
