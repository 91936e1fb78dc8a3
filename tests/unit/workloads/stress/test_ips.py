"""What a slow inspector makes of the queue and of the clusters, step by step, with and without the packet zone."""

from __future__ import annotations

import time

import pytest

import shmalloc
from workloads.context import Worker
from workloads.stress.ips import BURST, CLUSTERS, DEPTH, FLOOD_SHARE, WAYS, Ips

from .conftest import Pair

Both = list[tuple[Ips, Worker]]


@pytest.fixture
def ends(pair: Pair) -> Both:
    """The inspector and a sender."""
    made = []
    for workload, worker in pair(Ips):
        assert isinstance(workload, Ips)
        made.append((workload, worker))
    return made


@pytest.mark.parametrize("way", [0, 1])
def test_a_flood_fills_the_queue_then_uses_up_the_clusters_then_drops(ends: Both, way: int) -> None:
    (inspector, at_inspector), (sender, worker) = ends
    for _ in range(DEPTH // BURST + 5):
        sender._send(worker, way)
    label = WAYS[way]
    assert len(sender._queue) == DEPTH
    assert worker.peaks[f"deepest queue / {label}"] == DEPTH
    assert worker.counts[f"sent / {label}"] == DEPTH
    assert worker.counts[f"dropped, no cluster / {label}"] > 0
    assert worker.counts[f"dropped, queue full / {label}"] > 0
    assert len(sender._burst) <= CLUSTERS - DEPTH
    sender._free_burst(worker)
    inspector.drain(at_inspector)
    assert at_inspector.received == worker.sent == DEPTH
    inspector._recover(at_inspector, way)
    assert (at_inspector.findings, worker.findings) == ((), ())
    assert at_inspector.counts[f"clusters there again / {label}"] == CLUSTERS // 2
    assert at_inspector.counts[f"drain routines called / {label}"] > 0


def test_clusters_that_do_not_come_back_are_a_violation(ends: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    (inspector, worker), _ = ends
    monkeypatch.setattr(inspector, "_moment", lambda _: (1, False))
    held = [inspector._get(1) for _ in range(CLUSTERS - 10)]
    inspector._recover(worker, 1)
    assert [violation.kind for violation in worker.findings] == ["not-recovered"]
    held.clear()


def test_each_half_of_the_run_is_a_flood_and_a_lull(ends: Both) -> None:
    (inspector, worker), _ = ends
    seen = []
    for done in (0.01, 0.5 * FLOOD_SHARE + 0.02, 0.51, 0.5 + 0.5 * FLOOD_SHARE + 0.02):
        worker.deadline_ns = time.perf_counter_ns() + int((1 - done) * worker.settings.seconds * 1e9)
        seen.append(inspector._moment(worker))
    assert seen == [(0, True), (0, False), (1, True), (1, False)]


def test_both_ways_give_a_cluster_and_only_one_is_out_of_the_packet_zone(ends: Both, arena: shmalloc.Arena) -> None:
    (inspector, _), _ = ends
    whole, made = inspector._get(0), inspector._get(1)
    assert [len(bytes(packet)) for packet in (whole, made)] == [0, 0]
    figures = arena.mbuf_statistics()
    assert figures is not None
    assert (figures.mbufs.current, figures.clusters.current, figures.packets.current) == (2, 2, 1)
