"""The right figure stands under the right head."""

from shmalloc.registry import GcAction
from shmalloc.report.table import Table
from shmalloc.report.tables import arena_facts, arena_table, cpu_table, gc_table, type_table, zone_table
from unit.shmalloc.report import records


def cells(table: Table) -> list[dict[str, str]]:
    return [dict(zip((c.head for c in table.columns), row, strict=True)) for row in table.rows]


def test_the_zone_table_is_that_of_vmstat_z() -> None:
    zone = records.zone("mbuf", item_bytes=256, limit=4096, used=3, free=12, allocs=70, frees=67, fails=5, sleeps=2)
    table = zone_table([zone])
    assert [c.head for c in table.columns] == ["ITEM", "SIZE", "LIMIT", "USED", "FREE", "REQ", "FAIL", "SLEEP"]
    assert table.rows == (("mbuf", "256", "4096", "3", "12", "70", "5", "2"),)


def test_human_numbers_have_units_where_they_are_bytes() -> None:
    zone = records.zone("mbuf", item_bytes=2048, limit=4096, used=3, allocs=7_000_000)
    assert zone_table([zone], human=True).rows == (("mbuf", "2K", "4.1k", "3", "0", "7M", "0", "0"),)


def test_the_cpu_table_has_a_row_for_each_cpu_and_zone_it_used() -> None:
    cpus = [records.cpu(0, pid=11, name="one"), records.cpu(3, pid=12, alive=False)]
    caches = [
        records.cache(0, 2, allocs=9, frees=8, fails=1, sleeps=4, cached=7),
        records.cache(0, 1, frees=1),
        records.cache(0, 5),
        records.cache(9, 1, allocs=1),
    ]
    table = cells(cpu_table(cpus, caches, {1: "mbuf", 2: "cluster"}))
    assert [(row["CPU"], row["ZONE"]) for row in table] == [("0", "mbuf"), ("0", "cluster"), ("3", "-")]
    assert table[1] == {
        "CPU": "0", "PID": "11", "NAME": "one", "STATE": "live", "ZONE": "cluster",
        "ALLOCS": "9", "FREES": "8", "FAILS": "1", "SLEEPS": "4", "CACHED": "7",
    }  # fmt: skip
    assert (table[2]["STATE"], table[2]["NAME"], table[2]["ALLOCS"]) == ("dead", "-", "0")


def test_a_zone_without_a_known_name_is_named_by_its_number() -> None:
    [row] = cells(cpu_table([records.cpu(0)], [records.cache(0, 7, allocs=1)], {}))
    assert row["ZONE"] == "#7"


def test_the_type_table_is_that_of_vmstat_m_and_leaves_out_what_was_never_used() -> None:
    types = [records.kind("never"), records.kind("route", in_use=2, bytes=1500, requests=9, sizes=(16, 4096, 0))]
    assert type_table(types).rows == (("route", "2", "2K", "9", "16,4096,pages"),)
    assert type_table(types, human=True).rows == (("route", "2", "1.5K", "9", "16B,4K,pages"),)


def test_a_broken_arena_shows_its_problem_and_no_invented_counts() -> None:
    arenas = [
        records.info("good", state="live", bytes=1 << 30, allocated=8192, live_cpus=2, zones=3, creator_pid=77),
        records.info("bad", state="half-made", problem="was never finished by its creator"),
    ]
    good, bad = cells(arena_table(arenas, now_ns=90 * 10**9))
    assert (good["BYTES"], good["IN-MEMORY"], good["LIVE"], good["ZONES"]) == (str(1 << 30), "8192", "2", "3")
    assert (good["CREATOR"], good["AGE"], good["PROBLEM"]) == ("77", "1m30s", "")
    assert (bad["STATE"], bad["LIVE"], bad["ZONES"], bad["CREATOR"]) == ("half-made", "-", "-", "-")
    assert bad["PROBLEM"] == "was never finished by its creator"
    assert "PROBLEM" not in [c.head for c in arena_table(arenas, now_ns=0, problems=False).columns]


def test_the_gc_table_says_what_was_done_and_why() -> None:
    assert gc_table([GcAction("a", "kept", "1 CPU attached")]).rows == (("a", "kept", "1 CPU attached"),)


def test_the_facts_of_an_arena_carry_its_figures() -> None:
    stats = records.arena(created_ns=0, live_cpus=2, dead_cpus=1, max_cpus=64, allocated_bytes=5 << 20, uuid=0xAB)
    facts = dict(arena_facts("demo", stats, now_ns=61 * 10**9))
    assert facts["arena"] == "demo"
    assert facts["age"] == "1m01s"
    assert facts["CPUs"] == "2 live, 1 dead, 64 at most"
    assert facts["in memory"] == "5M"
    assert facts["uuid"] == "00000000000000ab"
