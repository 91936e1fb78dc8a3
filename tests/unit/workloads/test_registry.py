"""Every workload is found by its name, and says what it does."""

from __future__ import annotations

import pytest

from workloads.registry import WORKLOADS, UnknownWorkload, find


def test_the_workloads_are_those_promised() -> None:
    zones = ["churn", "crossfree", "larson", "limits", "refcnt", "forkstorm", "killstorm", "packets"]
    assert list(WORKLOADS) == [*zones, "forward", "sockets", "rip", "nfsleak", "ips"]
    assert all(workload.name == name and workload.summary for name, workload in WORKLOADS.items())
    assert all(find(name) is workload for name, workload in WORKLOADS.items())


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownWorkload, match=r"'chrun'.*churn, crossfree"):
        find("chrun")
