"""A campaign on disk: one SQLite file with its cells and one row for each trial that was run.

Owns the format. Each chunk of outcomes enters in one transaction together with how far its cell has come, so a campaign
killed at any moment leaves whole chunks only: resuming repeats what was in flight and nothing else. A trial is unique
by its id. Must not run trials nor judge them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import psutil

from faultinj.campaign.plan import PlannedCell
from faultinj.campaign.spec import Campaign
from faultinj.campaign.state import (
    CellState,
    OtherCampaign,
    Run,
    StoreBusy,
    StoreExists,
    StoreFails,
    StoreUnreadable,
    lives,
)
from faultinj.campaign.work import Done
from faultinj.record import Outcome, SweepResult

__all__ = ["Store", "is_empty", "load_result"]

VERSION = 1
_MAGIC = 0x66_6A_63_31  # application_id: "fjc1"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cell (
    number    INTEGER PRIMARY KEY,             -- place in the campaign, from 0
    scenario  TEXT NOT NULL, kind TEXT NOT NULL, points TEXT NOT NULL, seed INTEGER NOT NULL,
    most      INTEGER,                         -- trials at most, NULL: no limit
    next      INTEGER NOT NULL DEFAULT 1,      -- the n that comes next: all before it are in trial
    exhausted INTEGER NOT NULL DEFAULT 0,      -- 1: a run injected nothing
    given_up  INTEGER NOT NULL DEFAULT 0,      -- 1: too many of its runs hung or crashed
    seconds   REAL NOT NULL DEFAULT 0,         -- of its trials
    UNIQUE (scenario, kind, points, seed)
);
CREATE TABLE trial (
    id       TEXT PRIMARY KEY,                 -- Trial.id
    cell     INTEGER NOT NULL REFERENCES cell,
    n        INTEGER NOT NULL, n2 INTEGER NOT NULL,
    verdict  TEXT NOT NULL, result TEXT NOT NULL, findings INTEGER NOT NULL, injected INTEGER NOT NULL,
    seconds  REAL NOT NULL,
    outcome  BLOB NOT NULL                     -- Outcome as JSON
) WITHOUT ROWID;
CREATE INDEX trial_by_cell ON trial (cell, n, n2);
CREATE INDEX trial_found ON trial (cell, n, n2) WHERE findings > 0;
CREATE TABLE run (
    number  INTEGER PRIMARY KEY,
    pid     INTEGER NOT NULL, created REAL NOT NULL,    -- the process: both tell whether it still lives
    engine  TEXT NOT NULL, started TEXT NOT NULL, seconds REAL NOT NULL DEFAULT 0, ended TEXT
);
"""


class Store:
    """An open store. One process writes, any number read. Times are wall time in seconds."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open a store that is there. Raises: StoreUnreadable."""
        if not path.is_file():
            raise StoreUnreadable(path, "there is no such file; `faultinj campaign list` shows those of a directory")
        return cls(path, _connected(path))

    @classmethod
    def create(
        cls,
        path: Path,
        campaign: Campaign,
        cells: Iterable[PlannedCell],
        *,
        version: str,
        points: Mapping[str, str],
        argued: Mapping[str, str],
    ) -> Store:
        """Begin a campaign: all of it enters in one transaction, or the file holds none.

        Parameters: version: of the program under test; points: those that there are, each with its error; argued: those
        that cannot be reached, with the reason. Raises: StoreExists, StoreUnreadable.
        """
        if not path.absolute().parent.is_dir():
            raise StoreUnreadable(path, f"there is no directory {path.absolute().parent}")
        db = _connected(path, fresh=True)
        try:
            with _writing(db, path):
                if db.execute("PRAGMA application_id").fetchone()[0] == _MAGIC:
                    raise StoreExists(path)
                for statement in _SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {_MAGIC}")
                db.execute(f"PRAGMA user_version = {VERSION}")
                meta = {"campaign": _text(campaign), "version": version, "started": _now()}
                meta |= {"points": _text(points), "argued": _text(argued)}
                db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
                db.executemany(
                    "INSERT INTO cell (number, scenario, kind, points, seed, most) VALUES (?, ?, ?, ?, ?, ?)",
                    [(at, c.scenario, c.kind, c.points, c.seed, c.most) for at, c in enumerate(cells)],
                )
        except BaseException:
            db.close()
            raise
        return cls(path, db)

    def resume(self, campaign: Campaign, cells: Iterable[PlannedCell]) -> None:
        """Go on with a campaign whose file may have got other limits, gates and suppressions, but not other cells.

        Raises: OtherCampaign; StoreBusy: another process runs it.
        """
        wanted = {cell.key: cell for cell in cells}
        there = {(c.scenario, c.kind, c.points, c.seed): c for c in self.cells()}
        if wanted.keys() != there.keys():
            more = tuple(str(cell) for key, cell in wanted.items() if key not in there)
            less = tuple(f"{key[0]}/{key[1]}" for key in there if key not in wanted)
            raise OtherCampaign(self.path, more, less)
        with _writing(self._db, self.path):
            self._alone()
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'campaign'", (_text(campaign),))
            limits = [(cell.most, there[key].number) for key, cell in wanted.items()]
            self._db.executemany("UPDATE cell SET most = ? WHERE number = ?", limits)

    def close(self) -> None:
        """Close the file. Further calls do nothing."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def campaign(self) -> Campaign:
        """The campaign's file as it was when it was last run."""
        return msgspec.json.decode(self._meta("campaign"), type=Campaign)

    @property
    def started(self) -> str:
        """When it was begun, ISO 8601 in UTC."""
        return self._meta("started")

    @property
    def version(self) -> str:
        """The version of the program under test when it was begun."""
        return self._meta("version")

    @property
    def points(self) -> dict[str, str]:
        """The points that there were when it was begun, each with the error that it reports."""
        return msgspec.json.decode(self._meta("points"), type=dict[str, str])

    @property
    def argued(self) -> dict[str, str]:
        """Points that cannot be reached, with the reason: the program's and the campaign's own."""
        return msgspec.json.decode(self._meta("argued"), type=dict[str, str]) | self.campaign.argued

    def _meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise StoreUnreadable(self.path, f"its {key!r} is missing: the file is damaged")
        return str(row[0])

    def cells(self) -> tuple[CellState, ...]:
        """All cells, in the campaign's order."""
        rows = self._db.execute(
            "SELECT number, scenario, kind, points, seed, most, next, exhausted, given_up, seconds,"
            " (SELECT COUNT(*) FROM trial WHERE cell = number),"
            " (SELECT COALESCE(SUM(findings), 0) FROM trial WHERE cell = number AND findings > 0)"
            " FROM cell ORDER BY number"
        )
        names = CellState.__struct_fields__
        return tuple(msgspec.convert(dict(zip(names, row, strict=True)), CellState, strict=False) for row in rows)

    def add(self, done: Done, *, run: int, seconds: float) -> int:
        """Enter a chunk: its outcomes, how far its cell has come, and how long the run has lasted, all or nothing.

        Parameters: run: number of the run; seconds: since its start. Returns: how many trials were new. A chunk that is
        there already changes nothing.
        """
        chunk = done.chunk
        with _writing(self._db, self.path):
            begun = self._db.execute("SELECT next FROM cell WHERE number = ?", (chunk.cell,)).fetchone()
            if begun is None or begun[0] != chunk.first:
                return 0
            before = self._db.total_changes
            self._db.executemany(
                "INSERT OR IGNORE INTO trial VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_row(chunk.cell, outcome) for outcome in done.outcomes],
            )
            new = self._db.total_changes - before
            self._db.execute(
                "UPDATE cell SET next = ?, exhausted = ?, given_up = ?, seconds = seconds + ? WHERE number = ?",
                (done.next, int(done.exhausted), int(done.given_up), done.seconds, chunk.cell),
            )
            self._db.execute("UPDATE run SET seconds = ? WHERE number = ?", (seconds, run))
        return new

    def outcomes(self, *, found: bool = False) -> Iterator[Outcome]:
        """The outcomes in the order of cells and n. `found`: only those with findings."""
        where = "WHERE findings > 0 " if found else ""
        for row in self._db.execute(f"SELECT outcome FROM trial {where}ORDER BY cell, n, n2"):
            yield msgspec.json.decode(row[0], type=Outcome)

    def outcome(self, trial: str) -> Outcome | None:
        """What a trial came to, by its id; None when it was not run."""
        row = self._db.execute("SELECT outcome FROM trial WHERE id = ?", (trial,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Outcome)

    def begin_run(self, engine: str) -> int:
        """Write down that this process runs the campaign. Returns: the run's number. Raises: StoreBusy."""
        with _writing(self._db, self.path):
            self._alone()
            created = psutil.Process().create_time()
            return int(
                self._db.execute(
                    "INSERT INTO run (pid, created, engine, started) VALUES (?, ?, ?, ?)",
                    (os.getpid(), created, engine, _now()),
                ).lastrowid
                or 0
            )

    def _alone(self) -> None:
        for run in self.runs():
            if run.alive and run.ended is None and run.pid != os.getpid():
                raise StoreBusy(self.path, run.pid)

    def end_run(self, run: int, how: str, seconds: float) -> None:
        """Write down how a run ended. `how`: as Run.ended."""
        with _writing(self._db, self.path):
            self._db.execute("UPDATE run SET ended = ?, seconds = ? WHERE number = ?", (how, seconds, run))

    def runs(self) -> tuple[Run, ...]:
        """All runs, the first one first."""
        rows = self._db.execute("SELECT number, pid, engine, started, seconds, ended, created FROM run ORDER BY number")
        return tuple(
            Run(
                number=number,
                pid=pid,
                engine=engine,
                started=started,
                seconds=seconds,
                ended=ended,
                alive=lives(pid, created),
            )
            for number, pid, engine, started, seconds, ended, created in rows
        )


def load_result(path: Path | str) -> SweepResult:
    """A campaign's store as the record that reports read, whether it is finished or not.

    Raises: StoreUnreadable.
    """
    from faultinj.campaign.result import result_of

    with Store.open(Path(path)) as store:
        return result_of(store)


def is_empty(path: Path) -> bool:
    """Whether a file is there in which no campaign was begun, as a creation that was killed leaves it.

    Raises: StoreUnreadable: it is something else.
    """
    db = _connected(path, fresh=True)
    try:
        return bool(db.execute("PRAGMA application_id").fetchone()[0] != _MAGIC)
    finally:
        db.close()


def _connected(path: Path, *, fresh: bool = False) -> sqlite3.Connection:
    """Open the file, and see that it is a store of this version, or empty where a fresh one is to be made."""
    try:
        db = sqlite3.connect(path, timeout=30, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise StoreUnreadable(path, f"cannot be opened: {error}") from error
    try:
        magic = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreUnreadable(path, f"is no store of campaigns: {error}") from error
    if magic != _MAGIC and (tables or not fresh):
        db.close()
        reason = (
            "holds no campaign: it was killed before it began; remove the file"
            if not tables
            else "is some other database"
        )
        raise StoreUnreadable(path, reason)
    if magic == _MAGIC and version != VERSION:
        db.close()
        raise StoreUnreadable(path, f"has schema version {version}, and this program reads {VERSION}")
    try:
        db.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        db.close()
        raise StoreUnreadable(
            path, f"cannot be used here: {error}; it and its directory have to be writable"
        ) from error
    # A power failure may take the last chunks with it, never the order: the campaign then repeats them.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    return db


@contextlib.contextmanager
def _writing(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One transaction, with the write lock from its start. Raises: StoreFails: SQLite cannot write."""
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # SQLite ends it by itself when the disk is full
                db.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as error:
        raise StoreFails(path, str(error)) from error


def _row(cell: int, outcome: Outcome) -> tuple[object, ...]:
    return (
        outcome.trial.id,
        cell,
        outcome.trial.n,
        outcome.trial.n2,
        outcome.verdict,
        outcome.result,
        len(outcome.findings),
        len(outcome.injected),
        outcome.seconds,
        msgspec.json.encode(outcome),
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
