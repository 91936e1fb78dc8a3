"""A chunk's answer says whether its cell is at its end, whatever its runs came to."""

import subprocess
import sys

import msgspec
import pytest

from faultinj.campaign.driver import DriverMissing, load_driver
from faultinj.campaign.work import Chunk, Done, do_chunk
from faultinj.record import Finding, Kind, Outcome
from unit.faultinj.campaign import standin
from unit.faultinj.campaign.conftest import STANDIN


def done(kind: Kind = "kill", first: int = 1, last: int = 10) -> Done:
    """A chunk of sea.leaky (25 places), worked."""
    chunk = Chunk(cell=0, scenario="sea.leaky", kind=kind, points="*", seed=0, first=first, last=last, driver=STANDIN)
    return msgspec.json.decode(do_chunk(msgspec.json.encode(chunk)), type=Done)


def test_a_chunk_in_the_midst_goes_on_after_its_last_n() -> None:
    answer = done()
    assert (len(answer.outcomes), answer.exhausted, answer.given_up, answer.next) == (10, False, False, 11)


def test_a_chunk_with_a_run_that_injected_nothing_is_the_last() -> None:
    answer = done(first=21, last=40)
    assert (len(answer.outcomes), answer.exhausted, answer.given_up, answer.next) == (6, True, False, 27)


@pytest.mark.parametrize(("kind", "ends"), [("leak", True), ("hang", False), ("crash", False)])
def test_a_finding_without_a_fault_ends_a_cell_unless_the_fault_may_have_been_to_come(
    kind: str, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(scenario: str, kind_of: Kind, points: str, seed: int, first: int, last: int) -> list[Outcome]:
        finding = Finding(kind=kind, detail="without any fault")
        trial = standin.Trial(scenario=scenario, kind=kind_of, n=first)
        return [Outcome(trial=trial, verdict="finding", result="success", findings=(finding,))]

    monkeypatch.setattr(standin, "run_cell", always)
    answer = done()
    assert (answer.exhausted, answer.given_up) == (ends, not ends)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(DriverMissing, match=r"'no\.such\.faults' cannot be imported: .* PYTHONPATH"):
        load_driver(STANDIN, ("no.such.faults",))


def test_a_worker_ends_with_its_parent() -> None:
    script = (
        "import os, sys\n"
        "from faultinj.campaign.work import be_worker\n"
        "parent = os.getpid()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    be_worker(parent)\n"
        "    os.write(1, b'ready')\n"
        "    while True:\n"
        "        os.sched_yield()\n"
        "sys.stdin.read()\n"
        "os._exit(0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        assert parent.stdout.read(5) == b"ready"
        parent.stdin.close()
        # The pipe ends when its last writer is gone: the worker, which would spin for ever.
        assert parent.stdout.read() == b""
