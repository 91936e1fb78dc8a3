"""Best and median of runs, and skips that take their runs with them."""

from __future__ import annotations

from workloads.bench.catalogue import figure, wanted
from workloads.bench.round import Tableau


def test_best_is_the_least_but_the_greatest_of_a_speed_up() -> None:
    tableau = Tableau()
    for value in (7.0, 5.0, 6.0):
        tableau.add("c.pair", "shmalloc", value)
        tableau.add("c.scaling", "shmalloc", value)
    pair, scaling = tableau.samples()
    assert (pair.best, pair.median, pair.runs, pair.unit) == (5.0, 6.0, 3, "ns")
    assert (scaling.best, scaling.median, scaling.unit) == (7.0, 6.0, "x")


def test_subject_that_fails_later_keeps_no_figure() -> None:
    tableau = Tableau()
    tableau.add("c.pair", "peer", 1.0)
    tableau.skip("c.pair", "peer", "it died")
    assert tableau.samples() == ()
    assert [(skip.subject, skip.reason) for skip in tableau.skips()] == [("peer", "it died")]


def test_figures_are_written_with_the_unit_that_fits() -> None:
    assert figure(4.8123, "ns") == "4.81 ns"
    assert figure(1234.0, "ns") == "1.23 us"
    assert figure(51_234_567.0, "ns") == "51.2 ms"
    assert figure(880.0, "us") == "880 us"
    assert figure(5000.0, "us") == "5 ms"
    assert figure(2 * 1024 * 1024, "bytes") == "2,048 KiB"
    assert figure(1.171, "%") == "1.17 %"
    assert figure(1.934, "x") == "1.93x"


def test_glob_selects_cases() -> None:
    assert wanted(None, "c.pair")
    assert wanted("c.*", "c.pair")
    assert not wanted("py.*", "c.pair")
