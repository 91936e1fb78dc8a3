"""Exceptions: their classes, fields, sentences and pickles."""

import builtins
import pickle
import queue

import pytest

import shmalloc
from shmalloc import _native, errors
from shmalloc.codes import failure

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_is_exported_has_a_sentence_and_survives_pickling(cls: type[errors.ShmallocError]) -> None:
    assert getattr(shmalloc, cls.__name__) is cls
    error = cls(arena="demo")
    assert str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def test_fields_survive_pickling() -> None:
    error = errors.ZoneExhausted(arena="demo", zone="frame", limit=64, in_use=64, waited=2.0)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.zone, copy.limit, copy.in_use, copy.waited) == ("frame", 64, 64, 2.0)


def test_the_sentence_says_what_why_and_the_next_step() -> None:
    text = str(errors.ZoneExhausted(arena="demo", zone="frame", limit=64, in_use=64, waited=2.0))
    assert text == (
        "zone 'frame' is at its limit of 64 items (64 in use) and nothing was freed within 2.0 s; raise it with "
        "zone.set_max(), free items, or see who holds them: shmalloc stat -t demo"
    )


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.OutOfMemory, builtins.MemoryError),
        (errors.ArenaClosed, ValueError),
        (errors.ItemFreed, ValueError),
        (errors.InvalidArgument, ValueError),
        (errors.NameTooLong, ValueError),
        (errors.QueueFull, queue.Full),
        (errors.QueueEmpty, queue.Empty),
    ],
)
def test_errors_are_also_what_python_programs_catch(cls: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(cls, builtin)


@pytest.mark.parametrize("code", [name for name, _ in _native.errors() if name != "SM_OK"])
def test_every_code_of_the_core_becomes_an_exception(code: str) -> None:
    for subject in ("arena", "zone", "queue", "item", "handle", "malloc", "type", "tunable"):
        error = failure(code, {"arena": "demo", "subject": subject, "name": "n"})
        assert isinstance(error, errors.ShmallocError)
        assert (error.code, error.arena) == (code, "demo")
        assert str(error)
        assert pickle.loads(pickle.dumps(error)).code == code


def test_codes_with_a_cause_of_their_own_have_a_class_of_their_own() -> None:
    codes = ["SM_NOT_OURS", "SM_MISALIGNED", "SM_DOUBLE_FREE", "SM_STALE", "SM_NOT_OWNER", "SM_FORKED", "SM_MODIFIED"]
    assert len({type(failure(code, {"subject": "item"})) for code in codes}) == len(codes)
    formats = ["SM_NOT_ARENA", "SM_TRUNCATED", "SM_CORRUPT", "SM_VERSION", "SM_HALF_MADE"]
    made = [failure(code, {"subject": "arena"}) for code in formats]
    assert len({type(error) for error in made}) == len(formats)
    assert all(isinstance(error, errors.ArenaInvalid) for error in made)
