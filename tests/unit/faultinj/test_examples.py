"""The example of declared points runs and gives what it says."""

import doctest

import faultinj.declared


def test_example() -> None:
    [test] = [t for t in doctest.DocTestFinder().find(faultinj.declared) if t.examples]
    assert doctest.DocTestRunner().run(test).failed == 0
