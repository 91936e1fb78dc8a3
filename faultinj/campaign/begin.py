"""From a campaign file to a store that can be run: begun anew or resumed. Runs no trial."""

from __future__ import annotations

from pathlib import Path

from faultinj.campaign.driver import SWEEP, DriverMissing, load_driver
from faultinj.campaign.engines import EngineUnknown, parse_engine
from faultinj.campaign.plan import cells_of
from faultinj.campaign.spec import read_campaign
from faultinj.campaign.store import Store
from faultinj.campaign.work import version

__all__ = ["open_campaign"]


def open_campaign(file: Path, db: Path, *, resume: bool = False, fresh: bool = False, driver: str = SWEEP) -> Store:
    """Read a campaign file, find its scenarios and points, and open its store.

    Parameters: resume: go on with the store if there is one; fresh: throw away what is there; driver: who runs trials.
    Returns: an open store.
    Raises: CampaignUnreadable: the file is wrong; StoreExists: there is a campaign, and neither was said;
    OtherCampaign; StoreUnreadable; StoreBusy: it is to be thrown away, and runs.
    """
    campaign, source = read_campaign(file)
    try:
        parse_engine(campaign.campaign.engine)
    except EngineUnknown as error:
        raise source.wrong(("campaign", "engine"), str(error)) from error
    try:
        trials = load_driver(driver, campaign.campaign.imports)
    except DriverMissing as error:
        at = campaign.campaign.imports.index(error.module) if error.module in campaign.campaign.imports else None
        if at is None:
            raise
        raise source.wrong(("campaign", "imports", at), str(error)) from error
    scenarios = {name: trials.kinds_of(name) for name in trials.scenario_names()}
    points = trials.point_errors()
    cells = cells_of(campaign, source, scenarios=scenarios, points=tuple(points))
    if resume and db.exists() and db.stat().st_size and _begun(db):
        store = Store.open(db)
        try:
            store.resume(campaign, cells)
        except BaseException:
            store.close()
            raise
        return store
    if fresh and db.exists():
        _throw_away(db)
    return Store.create(db, campaign, cells, version=version(), points=points, argued=trials.argued())


def _begun(db: Path) -> bool:
    """Whether a campaign is in the file: its creation may have been killed before it was."""
    from faultinj.campaign.store import is_empty

    return not is_empty(db)


def _throw_away(db: Path) -> None:
    """Remove a store, and nothing that is none, and none that is being run."""
    if _begun(db):
        with Store.open(db) as store:
            store.end_run(store.begin_run("thrown away"), "failed", 0.0)  # refused while it runs
    for path in (db, Path(f"{db}-wal"), Path(f"{db}-shm")):
        path.unlink(missing_ok=True)
