"""A campaign runs every trial once, whatever engine works it and whoever dies meanwhile."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from faultinj.campaign.engines import EngineUnknown, open_engine, parse_engine
from faultinj.campaign.run import ChunkFails, Progress, run_campaign
from faultinj.campaign.state import StoreBusy, StoreFails
from faultinj.campaign.store import Store, load_result
from unit.faultinj.campaign import standin
from unit.faultinj.campaign.conftest import STANDIN, WHOLE, begun, planned

EXPECTED = {
    f"{scenario}/{kind}/{n}"
    for scenario, places in standin.SCENARIOS.items()
    for kind in ("transient", "persistent", "kill")
    for n in range(1, places + 2)
}


def ids(store: Store) -> list[str]:
    return [outcome.trial.id for outcome in store.outcomes()]


def test_every_place_is_tried_and_each_cell_ends_with_a_run_that_injected_nothing(
    new_store: Callable[..., Store],
) -> None:
    store = new_store()
    ended = run_campaign(store, driver=STANDIN)
    assert ended.how == "done"
    assert ended.trials == len(EXPECTED)
    assert sorted(ids(store)) == sorted(EXPECTED)
    assert all(cell.exhausted for cell in store.cells())


def test_two_processes_do_what_one_does(new_store: Callable[..., Store]) -> None:
    store = new_store()
    assert run_campaign(store, engine="processes:2", driver=STANDIN).how == "done"
    assert sorted(ids(store)) == sorted(EXPECTED)


def test_pairs_are_tried_until_neither_fault_is_injected(new_store: Callable[..., Store]) -> None:
    store = new_store('[campaign]\nname = "p"\n[[sweep]]\nscenarios = ["pond.*"]\nkinds = ["pair"]\n')
    run_campaign(store, driver=STANDIN)
    assert ids(store) == [f"pond.tiny/pair/{one}" for one in ("1+1", "1+2", "1+3", "2+1", "2+2", "3+1", "4+1")]


def test_a_killed_worker_loses_no_trial_and_none_counts_twice(
    new_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mines = tmp_path / "mines"
    mines.mkdir()
    for trial in ("sea.wide:transient:20", "pond.tiny:kill:2", "sea.leaky:persistent:7"):
        (mines / trial).touch()
    monkeypatch.setenv("STANDIN_MINES", str(mines))
    store = new_store()
    ended = run_campaign(store, engine="processes:2", driver=STANDIN)
    assert list(mines.iterdir()) == [], "every mine went off"
    assert ended.retried >= 3
    assert ended.how == "done"
    assert ended.trials == len(EXPECTED)
    assert sorted(ids(store)) == sorted(EXPECTED)


def test_a_chunk_that_kills_every_worker_is_named_and_the_rest_can_be_resumed(
    new_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sea.wide:transient:20").write_text("SIGKILL*5")
    monkeypatch.setenv("STANDIN_MINES", str(tmp_path))
    store = new_store()
    with pytest.raises(ChunkFails, match=r"5 workers died with sea\.wide/transient n = 17\.\.32") as failed:
        run_campaign(store, engine="processes:2", driver=STANDIN)
    assert "faultinj replay sea.wide/transient/17" in str(failed.value)
    assert store.runs()[-1].ended == "failed"
    assert run_campaign(store, driver=STANDIN).how == "done"
    assert sorted(ids(store)) == sorted(EXPECTED)


def test_a_limit_of_seconds_ends_a_run_and_the_next_one_goes_on(new_store: Callable[..., Store]) -> None:
    store = new_store()
    runs = 0
    while run_campaign(store, driver=STANDIN, seconds=0.005).how == "limit":
        runs += 1
        assert runs < 500
    assert sorted(ids(store)) == sorted(EXPECTED)


def test_a_limit_of_n_ends_cells_and_a_larger_one_goes_on(new_store: Callable[..., Store]) -> None:
    text = (
        '[campaign]\nname = "n"\nchunk = 4\n[[sweep]]\nscenarios = ["sea.wide"]\nkinds = ["kill"]\n[limits]\nn = 10\n'
    )
    store = new_store(text)
    assert run_campaign(store, driver=STANDIN).trials == 10
    assert run_campaign(store, driver=STANDIN).trials == 0
    store.resume(*planned(text.replace("n = 10", "n = 30")))
    assert run_campaign(store, driver=STANDIN).trials == 20
    assert [cell.exhausted for cell in store.cells()] == [False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine", ["local", "processes:2"])
def test_an_interrupt_ends_in_order_and_the_next_run_goes_on(
    new_store: Callable[..., Store], engine: str, number: signal.Signals
) -> None:
    store = new_store()

    sent: list[int] = []

    def told(progress: Progress) -> None:
        if progress.trials > 40 and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)

    assert run_campaign(store, engine=engine, driver=STANDIN, told=told).how == "interrupted"
    before = len(ids(store))
    assert 40 < before < len(EXPECTED)
    assert store.runs()[-1].ended == "interrupted"
    assert run_campaign(store, driver=STANDIN).trials == len(EXPECTED) - before
    assert sorted(ids(store)) == sorted(EXPECTED)


def test_an_interrupt_inside_a_chunk_cuts_it_off_and_nothing_of_it_is_stored(
    new_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sea.wide:kill:20").write_text("SIGINT")
    monkeypatch.setenv("STANDIN_MINES", str(tmp_path))
    store = new_store()
    assert run_campaign(store, driver=STANDIN).how == "interrupted"
    (cell,) = (cell for cell in store.cells() if (cell.scenario, cell.kind) == ("sea.wide", "kill"))
    assert (cell.next, cell.trials) == (17, 16), "n = 17..19 were run, and will be again"
    run_campaign(store, driver=STANDIN)
    assert sorted(ids(store)) == sorted(EXPECTED)


def test_one_campaign_is_run_by_one_process_at_a_time(tmp_path: Path) -> None:
    store = begun(tmp_path / "x.db")
    gate, told = os.pipe()
    child = os.fork()
    if child == 0:
        other = Store.open(store.path)
        other.begin_run("local")
        os.write(told, b"!")
        signal.pause()
        os._exit(0)
    try:
        assert os.read(gate, 1) == b"!"
        with pytest.raises(StoreBusy, match=f"process {child} runs"):
            run_campaign(store, driver=STANDIN)
        with pytest.raises(StoreBusy, match=f"process {child} runs"):  # nor are its limits changed meanwhile
            store.resume(*planned(WHOLE.replace("[[sweep]]", "[[sweep]]\nn = 1")))
        assert {cell.most for cell in store.cells()} == {None}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert run_campaign(store, driver=STANDIN).how == "done"


def test_a_full_disk_ends_a_run_with_whole_chunks_and_the_next_one_goes_on(tmp_path: Path) -> None:
    store = begun(tmp_path / "x.db")
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StoreFails, match=r"x\.db cannot be written: database or disk is full; what it holds is whole"):
        run_campaign(store, driver=STANDIN)
    kept = len(ids(store))
    assert 0 < kept < len(EXPECTED)
    store._db.execute("PRAGMA max_page_count = 100000")
    ended = run_campaign(store, driver=STANDIN)
    assert (ended.how, ended.trials) == ("done", len(EXPECTED) - kept)
    assert sorted(ids(store)) == sorted(EXPECTED)


def test_the_result_sums_up_what_was_run(new_store: Callable[..., Store]) -> None:
    store = new_store()
    run_campaign(store, driver=STANDIN)
    result = load_result(store.path)
    assert result.trials == len(EXPECTED)
    assert result.injected == 3 * sum(standin.SCENARIOS.values())
    assert len(result.findings) == 9
    assert result.findings[0].detail == "sea.leaky/transient/7: place 7 leaks 7 items"
    assert [outcome.trial.n for outcome in result.outcomes] == [7, 14, 21] * 3
    assert result.empty == ("void.empty",)
    assert result.never_reached == ()
    assert result.argued == {"moon.phase": "the moon is not on this machine"}
    assert sum(row.injected for row in result.points) == result.injected
    assert sum(row.killed for row in result.points) == sum(standin.SCENARIOS.values()) - 3
    assert {(cell.scenario, cell.trials) for cell in result.cells if cell.kind == "kill"} == {
        (name, places + 1) for name, places in standin.SCENARIOS.items()
    }
    assert load_result(store.path) == result


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("proceses:2", "did you mean 'processes'"),
        ("processes:none", "a number from 1 to 9999"),
        ("processes:0", "a number from 1 to 9999"),
        ("dask:localhost", "//host:port of a scheduler"),
        ("local:3", "write one of local, processes:N, dask://host:port"),
    ],
)
def test_an_unknown_engine_is_told_with_those_that_there_are(text: str, said: str) -> None:
    with pytest.raises(EngineUnknown, match=said):
        open_engine(text)


def test_engines_are_read() -> None:
    assert parse_engine("local") == ("local", "")
    assert parse_engine("processes:3") == ("processes", "3")
    assert parse_engine("dask://127.0.0.1:8786") == ("dask", "127.0.0.1:8786")
    assert parse_engine("dask://[::1]:8786") == ("dask", "[::1]:8786")
