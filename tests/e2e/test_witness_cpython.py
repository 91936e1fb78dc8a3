"""`witness run` is transparent and tells the truth: the interpreter's own tests end the same, and nothing is reported.

A quick part of them; all of them run with `make soak`.
"""

import pytest

from e2e.cpython_suites import available, compare

QUEUES = ("CQueueTest", "CSimpleQueueTest", "CFailingQueueTest", "CPriorityQueueTest")
THREADS = (
    "BoundedSemaphoreTests",
    "ConditionAsRLockTests",
    "ConditionTests",
    "LockTests",
    "SubinterpThreadingTests",
    "ThreadTests.test_disallow_instantiation",
    "ThreadTests.test_foreign_thread",
    "ThreadTests.test_old_threading_api",
    "ThreadJoinOnShutdown",
)


@pytest.mark.parametrize(("suite", "names"), [("test_queue", QUEUES), ("test_threading", THREADS)])
def test_the_interpreters_own_tests_end_the_same_and_nothing_is_reported(suite: str, names: tuple[str, ...]) -> None:
    if not available(suite):
        pytest.skip("the interpreter was installed without its own tests: apt package libpython3-testsuite")
    seen = compare([f"test.{suite}.{name}" for name in names], together=True)
    assert len(seen.bare.tests) > len(names), seen.bare.words
    assert seen.different == {}, seen.watched.words
    assert seen.reports == {}
