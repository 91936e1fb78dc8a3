"""netstat -m and systat -mbufs in their exact shapes."""

from shmalloc.report.mbufs import bar_lines, mbuf_facts, netstat_lines, type_counts
from unit.shmalloc.report import records
from unit.shmalloc.report.records import mbuf_use

FULL = records.mbufs(
    {1: 61, 8: 7, 14: 60, 3: 2},
    mbufs=mbuf_use(130, 6, denied=1, delayed=4),
    clusters=mbuf_use(11, 22, max=25600, denied=2, delayed=5),
    packets=mbuf_use(9, 20, denied=3, delayed=6),
    jumbop=mbuf_use(1, 2, max=12800, item_bytes=4096, denied=10, delayed=20),
    jumbo9=mbuf_use(3, 4, max=6400, denied=11, delayed=21),
    jumbo16=mbuf_use(5, 6, max=3200, denied=12, delayed=22),
    tags=mbuf_use(7, 8),
    extrefs=mbuf_use(2, 1),
    bytes_current=1023,
    bytes_cache=1025,
    bytes_total=2048,
    drain_calls=13,
    labels_made=30,
    labels_ended=20,
    labels_reaped=4,
)


def test_the_lines_are_those_of_netstat() -> None:
    assert netstat_lines(FULL) == (
        "130/6/136 mbufs in use (current/cache/total)",
        "11/22/33/25600 mbuf clusters in use (current/cache/total/max)",
        "9/20 mbuf+clusters out of packet secondary zone in use (current/cache)",
        "1/2/3/12800 4k (page size) jumbo clusters in use (current/cache/total/max)",
        "3/4/7/6400 9k jumbo clusters in use (current/cache/total/max)",
        "5/6/11/3200 16k jumbo clusters in use (current/cache/total/max)",
        "0K/1K/2K bytes allocated to network (current/cache/total)",
        "1/2/3 requests for mbufs denied (mbufs/clusters/mbuf+clusters)",
        "4/5/6 requests for mbufs delayed (mbufs/clusters/mbuf+clusters)",
        "20/21/22 requests for jumbo clusters delayed (4k/9k/16k)",
        "10/11/12 requests for jumbo clusters denied (4k/9k/16k)",
        "13 calls to protocol drain routines",
        "7/8/15 mbuf tags in use (current/cache/total)",
        "2/1/3 external storages in use (current/cache/total)",
        "30/20/4 MAC labels (made/ended/reaped)",
    )


def test_facts_are_the_lines_turned_round() -> None:
    assert mbuf_facts(FULL)[0] == ("mbufs in use (current/cache/total)", "130/6/136")
    assert [f"{figures} {words}" for words, figures in mbuf_facts(FULL)] == list(netstat_lines(FULL))


def test_bars_are_sorted_and_those_beyond_the_scale_bear_their_number() -> None:
    assert bar_lines(FULL) == (
        "          /0   /5   /10  /15  /20  /25  /30  /35  /40  /45  /50  /55  /60",
        "data      " + "X" * 60 + " 61",
        "control   " + "X" * 60,
        "socknames XXXXXXX",
        "         3XX",
        "Mbufs     " + "X" * 60 + " 130",
    )


def test_a_narrow_screen_has_a_shorter_scale_and_no_line_is_wider() -> None:
    for width in (24, 40, 60, 79, 80, 200):
        lines = bar_lines(records.mbufs({1: 10**6, 8: 3}), width=width)
        assert max(map(len, lines)) <= width, lines
        assert lines[1].endswith("X 1000000")
    assert bar_lines(FULL, width=40)[:2] == ("          /0   /5   /10  /15  /20  /25", f"data      {'X' * 25} 61")


def test_no_mbufs_have_a_scale_and_no_bars() -> None:
    assert len(bar_lines(records.mbufs())) == 1


def test_what_has_no_type_yet_and_what_is_damaged_is_named() -> None:
    assert type_counts(records.mbufs({0: 2, 15: 1}, type_unknown=5)) == (("damaged", 5), ("untyped", 2), ("oobdata", 1))
