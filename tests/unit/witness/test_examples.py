"""The example of the checker runs and gives what it says."""

import doctest

import shmalloc
import witness
import witness.checker


def test_example(arena_name: str) -> None:
    scope = {"shmalloc": shmalloc, "witness": witness, "name": arena_name}
    [test] = [t for t in doctest.DocTestFinder().find(witness.checker, globs=scope) if t.examples]
    assert doctest.DocTestRunner().run(test).failed == 0
