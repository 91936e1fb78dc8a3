"""Names of arenas and the objects behind them."""

import os
from pathlib import Path

import pytest

from shmalloc.errors import ArenaExists, ArenaNotFound, InvalidArgument, NameTooLong
from shmalloc.naming import checked_name, create_object, object_name, open_object, same_object, unlink_object


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a\0b", "ä", "../x", "a\n"])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_name(name)
    assert caught.value.value == name


def test_long_names_are_refused_and_the_longest_is_not() -> None:
    assert checked_name("x" * 128) == "x" * 128
    with pytest.raises(NameTooLong) as caught:
        checked_name("x" * 129)
    assert caught.value.most == 128


def test_objects_are_private_to_their_owner(arena_name: str) -> None:
    with create_object(arena_name) as fd:
        assert os.fstat(fd).st_mode & 0o777 == 0o600
        assert os.fstat(fd).st_size == 0
        assert same_object(arena_name, fd)
    assert Path("/dev/shm" + object_name(arena_name)).exists()
    with pytest.raises(ArenaExists), create_object(arena_name):
        pass
    unlink_object(arena_name)


def test_an_object_whose_making_fails_is_gone(arena_name: str) -> None:
    with pytest.raises(ZeroDivisionError), create_object(arena_name):
        raise ZeroDivisionError
    with pytest.raises(ArenaNotFound), open_object(arena_name, read_only=True):
        pass


def test_unlinking_what_is_not_there_is_an_error_unless_asked(arena_name: str) -> None:
    with pytest.raises(ArenaNotFound):
        unlink_object(arena_name)
    unlink_object(arena_name, missing_ok=True)


def test_a_name_that_stands_for_another_object_is_told_apart(arena_name: str) -> None:
    with create_object(arena_name) as fd:
        unlink_object(arena_name)
        assert not same_object(arena_name, fd)
        with create_object(arena_name) as other:
            assert not same_object(arena_name, fd)
            assert same_object(arena_name, other)
            unlink_object(arena_name)
