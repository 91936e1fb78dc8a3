"""The tables of the layout headers tell the truth: each offset and size is what the compiler makes of the struct."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

LAYOUTS = sorted((Path(__file__).parents[2] / "shmalloc/core").glob("layout*.h"))

TABLE = re.compile(r"/\*((?:(?!\*/).)*?OFFSET SIZE FIELD.*?)\*/\s*struct (\w+) \{", re.DOTALL)
ROW = re.compile(r"^ \*\s+(\d+)\s+(\d+)\s+(.*)$", re.MULTILINE)
# Fields of one row: "q_state, 4 q_gen" (each with its own size) or "k_partial k_full k_empty" (one size for all).
NEXT_FIELD = re.compile(r"^(?:,\s+(\d+)\s+|\s+)([a-z]+_\w+)")


@dataclass(frozen=True, slots=True)
class Row:
    """One field of one table."""

    struct: str
    field: str
    offset: int
    size: int


def rows(text: str) -> list[Row]:
    """Every field named in the tables of a header, with the offset and size that the table gives it."""
    found = []
    for table in TABLE.finditer(text):
        for row in ROW.finditer(table[1]):
            offset, size, rest = int(row[1]), int(row[2]), " " + row[3]
            prefix = row[3].split("_")[0] + "_"
            while (field := NEXT_FIELD.match(rest)) and field[2].startswith(prefix):
                size = int(field[1] or size)
                found.append(Row(table[2], field[2], offset, size))
                offset += size
                rest = rest[field.end() :]
    return found


def untrue(header: Path, where: Path) -> list[str]:
    """The rows of a header's tables that the compiler contradicts."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the core is written in C: cc or gcc must be there"
    table = rows(header.read_text())
    lines = "".join(
        f'    printf("{r.struct} {r.field} %zu %zu\\n", offsetof(struct {r.struct}, {r.field}),'
        f" sizeof(((struct {r.struct} *)0)->{r.field}));\n"
        for r in table
    )
    program = where / "offsets.c"
    program.write_text(f'#include <stddef.h>\n#include <stdio.h>\n#include "{header}"\nint main(void) {{\n{lines}}}\n')
    built = subprocess.run(
        [compiler, "-std=gnu11", "-o", where / "offsets", program], capture_output=True, text=True, check=False
    )
    if built.returncode:
        return [line for line in built.stderr.splitlines() if "error:" in line]
    truth = {}
    for line in subprocess.check_output([where / "offsets"], text=True).splitlines():
        struct, field, offset, size = line.split()
        truth[struct, field] = (int(offset), int(size))
    return [
        f"{r.struct}.{r.field}: the table says {r.offset} {r.size}, it is {truth[r.struct, r.field]}"
        for r in table
        if truth[r.struct, r.field] != (r.offset, r.size)
    ]


def test_every_row_of_every_table_is_true(tmp_path: Path) -> None:
    table = [row for header in LAYOUTS for row in rows(header.read_text())]
    assert len(table) > 150, "the tables were not recognised"
    assert {
        "sm_header_shm", "sm_cpu_shm", "sm_keg_shm", "sm_zone_shm", "sm_userlock_shm", "mbuf", "sm_sockbuf_shm",
    } <= {r.struct for r in table}  # fmt: skip
    assert [lie for header in LAYOUTS for lie in untrue(header, tmp_path)] == []


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("4    8 x_b", "sm_x_shm.x_b: the table says 4 8, it is (8, 8)"),
        ("8    4 x_b", "sm_x_shm.x_b: the table says 8 4, it is (8, 8)"),
        ("0    4 x_a, 8 x_b", "sm_x_shm.x_b: the table says 4 8, it is (8, 8)"),
        ("0    4 x_gone", "has no member named"),
    ],
)
def test_a_row_that_lies_is_named(tmp_path: Path, row: str, complaint: str) -> None:
    header = tmp_path / "x.h"
    header.write_text(
        "#include <stdint.h>\n"
        f"/*  OFFSET SIZE FIELD\n *       {row}     text, 4 things\n */\n"
        "struct sm_x_shm {\n    uint32_t x_a;\n    uint32_t x_pad;\n    uint64_t x_b;\n};\n"
    )
    [found, *_] = untrue(header, tmp_path)
    assert complaint in found
