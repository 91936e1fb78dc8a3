"""A store keeps each trial once, says what is wrong with other files, and is whole whenever its writer dies."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from faultinj.campaign.begin import open_campaign
from faultinj.campaign.spec import CampaignUnreadable
from faultinj.campaign.state import OtherCampaign, StoreExists, StoreUnreadable
from faultinj.campaign.store import Store, load_result
from faultinj.campaign.work import Chunk, Done
from faultinj.record import Outcome
from unit.faultinj.campaign import standin
from unit.faultinj.campaign.conftest import STANDIN, WHOLE, begun, planned

NAME = '[campaign]\nname = "x"\n'


def chunk(store: Store, cell: int, first: int, last: int) -> Done:
    """A chunk of a cell, run."""
    state = store.cells()[cell]
    outcomes = tuple(standin.run_cell(state.scenario, state.kind, state.points, state.seed, first, last))
    asked = Chunk(cell=cell, scenario=state.scenario, kind=state.kind, points="*", seed=0, first=first, last=last)
    exhausted = any(outcome.verdict == "nothing injected" for outcome in outcomes)
    return Done(chunk=asked, outcomes=outcomes, exhausted=exhausted, seconds=0.1, worker=1)


def test_a_chunk_counts_once_however_often_it_comes(new_store: Callable[..., Store]) -> None:
    store = new_store()
    run = store.begin_run("local")
    done = chunk(store, 3, 1, 5)
    assert store.add(done, run=run, seconds=1.0) == 5
    assert store.add(done, run=run, seconds=1.0) == 0
    assert store.add(chunk(store, 3, 3, 9), run=run, seconds=1.0) == 0, "it does not begin where the cell goes on"
    assert (store.cells()[3].next, store.cells()[3].trials) == (6, 5)


def test_a_cell_ends_when_a_run_injected_nothing(new_store: Callable[..., Store]) -> None:
    store = new_store()
    run = store.begin_run("local")
    store.add(chunk(store, 0, 1, 16), run=run, seconds=0.0)
    cell = store.cells()[0]
    assert (cell.scenario, cell.trials, cell.exhausted, cell.done) == ("pond.tiny", 4, True, True)


def test_a_chunk_that_came_back_short_gives_its_cell_up(new_store: Callable[..., Store]) -> None:
    store = new_store()
    run = store.begin_run("local")
    whole = chunk(store, 3, 1, 8)
    short = Done(chunk=whole.chunk, outcomes=whole.outcomes[:3], exhausted=False, seconds=0.1, worker=1)
    store.add(short, run=run, seconds=0.0)
    cell = store.cells()[3]
    assert (cell.next, cell.given_up, cell.exhausted, cell.done) == (4, True, False, True)


def test_outcomes_come_back_as_they_were(new_store: Callable[..., Store]) -> None:
    store = new_store()
    run = store.begin_run("local")
    leaky = next(cell.number for cell in store.cells() if cell.scenario == "sea.leaky")
    done = chunk(store, leaky, 1, 16)
    store.add(done, run=run, seconds=0.0)
    assert tuple(store.outcomes()) == done.outcomes
    found: list[Outcome] = list(store.outcomes(found=True))
    assert [outcome.trial.n for outcome in found] == [7, 14]
    assert store.outcome("sea.leaky/transient/7") == found[0]
    assert store.outcome("sea.leaky/transient/70") is None


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="there is no such file"):
        load_result(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(StoreUnreadable, match="is no store of campaigns"):
        load_result(tmp_path / "text.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(StoreUnreadable, match="is some other database"):
        load_result(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before
    with pytest.raises(StoreUnreadable, match="there is no directory"):
        begun(tmp_path / "no" / "x.db")


def test_a_store_of_another_version_is_told(tmp_path: Path) -> None:
    begun(tmp_path / "x.db").close()
    other = sqlite3.connect(tmp_path / "x.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreUnreadable, match="has schema version 99, and this program reads 1"):
        load_result(tmp_path / "x.db")


def test_a_campaign_is_not_begun_over_another(tmp_path: Path) -> None:
    begun(tmp_path / "x.db").close()
    with pytest.raises(StoreExists, match="--resume goes on with it"):
        begun(tmp_path / "x.db")


def test_a_campaign_with_other_cells_is_not_resumed(new_store: Callable[..., Store]) -> None:
    store = new_store()
    with pytest.raises(OtherCampaign, match=r"3 are gone \(void\.empty/"):
        store.resume(*planned(WHOLE.replace('["*"]', '["pond.*", "sea.*"]')))
    with pytest.raises(OtherCampaign, match=r"15 cells are new \(pond\.tiny/transient seed=1"):
        store.resume(*planned(WHOLE + "seeds = [0, 1]\n"))


def test_a_file_is_opened_resumed_and_thrown_away(tmp_path: Path) -> None:
    file, db = tmp_path / "c.toml", tmp_path / "c.db"
    file.write_text(WHOLE)
    open_campaign(file, db, resume=True, driver=STANDIN).close()
    with pytest.raises(StoreExists):
        open_campaign(file, db, driver=STANDIN)
    with open_campaign(file, db, resume=True, driver=STANDIN) as store:
        store.add(chunk(store, 0, 1, 16), run=store.begin_run("local"), seconds=0.0)
    with open_campaign(file, db, resume=True, driver=STANDIN) as store:
        assert sum(cell.trials for cell in store.cells()) == 4
    with open_campaign(file, db, fresh=True, driver=STANDIN) as store:
        assert sum(cell.trials for cell in store.cells()) == 0


def test_what_is_no_store_is_not_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(WHOLE)
    precious = tmp_path / "precious"
    precious.write_text("a letter" * 100)
    with pytest.raises(StoreUnreadable):
        open_campaign(tmp_path / "c.toml", precious, fresh=True, driver=STANDIN)
    assert precious.read_text() == "a letter" * 100


def test_a_creation_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(WHOLE)
    (tmp_path / "c.db").touch()
    with pytest.raises(StoreUnreadable, match="killed before it began"):
        load_result(tmp_path / "c.db")
    with open_campaign(tmp_path / "c.toml", tmp_path / "c.db", resume=True, driver=STANDIN) as store:
        assert len(store.cells()) == 15


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NAME + 'engine = "proceses:2"\n[[sweep]]\nscenarios = ["*"]\n', "c.toml:3: campaign.engine: the engine"),
        (
            NAME + 'imports = ["os", "no.such"]\n[[sweep]]\nscenarios = ["*"]\n',
            "c.toml:3: campaign.imports[1]: the",
        ),
    ],
)
def test_an_engine_and_a_module_that_are_unknown_are_told_with_their_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(CampaignUnreadable) as wrong:
        open_campaign(tmp_path / "c.toml", tmp_path / "c.db", driver=STANDIN)
    assert said in str(wrong.value)
    assert not (tmp_path / "c.db").exists()
