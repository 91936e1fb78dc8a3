"""Engines: processes that are begun while somebody presses Ctrl-C come to work all the same."""

import multiprocessing
import os
import signal

import msgspec

from faultinj.campaign.engines import Processes
from faultinj.campaign.work import Chunk, Done
from unit.faultinj.campaign.conftest import STANDIN


def test_ctrl_c_does_not_reach_a_worker_that_is_still_being_made() -> None:
    chunk = Chunk(cell=0, scenario="sea.wide", kind="kill", points="*", seed=0, first=1, last=10, driver=STANDIN)
    before = set(multiprocessing.active_children())
    engine = Processes(1)
    try:
        future = engine.submit(msgspec.json.encode(chunk))
        (worker,) = set(multiprocessing.active_children()) - before
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)  # its interpreter has only just been started
        answer = msgspec.json.decode(future.result(timeout=60), type=Done)
        assert (answer.worker, answer.next) == (worker.pid, 11)
    finally:
        engine.close()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
