"""No arrow of the tree points up, and the scan that says so is itself seen to find arrows that do."""

from pathlib import Path

import pytest

from contracts.arrows import cython_arrows, imports, includes, wrong_arrows

ROOT = Path(__file__).parents[2]


def test_no_include_cimport_or_import_points_up() -> None:
    assert wrong_arrows(ROOT) == []


def test_the_scan_sees_the_whole_tree() -> None:
    assert len({arrow.path for arrow in includes(ROOT)}) > 20
    assert {module.split(".")[0] for module, _ in imports(ROOT)} == {"shmalloc", "witness", "faultinj", "workloads"}
    assert any("core/" in arrow.target for _, arrow in cython_arrows(ROOT))


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("shmalloc/core/base/os.c", '#include "../layout.h"', "L0 includes shmalloc/core/layout.h, which is L1"),
        ("shmalloc/core/keg_trim.c", '#include "zone.h"', "L2 includes shmalloc/core/zone.h, which is L3"),
        ("shmalloc/core/zone.c", '#include "stats.h"', "L3 includes shmalloc/core/stats.h, which is L4"),
        ("shmalloc/core/stats.c", "#include <Python.h>", "the core must not know Python"),
        ("shmalloc/core/stats.c", '#include "shmalloc.h"', "the umbrella header is for programs"),
        ("shmalloc/core/gizmo.c", '#include "zone.h"', "has no layer"),
        ("shmalloc/arena.py", "from shmalloc.report import page", "shmalloc.arena (L6) imports shmalloc.report.page"),
        ("shmalloc/report/page.py", "import shmalloc.cli", "shmalloc.report.page (L6.5) imports shmalloc.cli"),
        ("shmalloc/arena.py", "def f():\n    import witness", "shmalloc.arena (L6) imports witness (L7)"),
        ("shmalloc/arena.py", "from .cli import main", "shmalloc.arena (L6) imports shmalloc.cli.main"),
        ("witness/graph.py", "import faultinj", "the companions do not know each other"),
        ("faultinj/plan.py", "from workloads import registry", "faultinj.plan (L7) imports workloads.registry (L8)"),
        ("shmalloc/_native.pyx", "from shmalloc.errors import DoubleFree", "shmalloc._native (L5) imports shmalloc.e"),
        ("shmalloc/_native.pyx", "from shmalloc.fast cimport Fast", "shmalloc._native (L5) imports shmalloc.fast.Fas"),
        ("witness/core/order.c", '#include "shmalloc/core/zone.h"', "the C of witness includes shmalloc/core/zone.h"),
        ("faultinj/core/plan.c", "#include <Python.h>", "the C of faultinj must not know Python"),
        ("witness/_order.pyx", 'cdef extern from "core/shmalloc.h":', "only the extension module may see"),
    ],
)
def test_an_arrow_that_points_up_is_named(tmp_path: Path, path: str, text: str, complaint: str) -> None:
    for header in ("layout.h", "zone.h", "stats.h", "shmalloc.h"):
        file = tmp_path / "shmalloc/core" / header
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"\n{text}\n")
    [wrong] = wrong_arrows(tmp_path)
    assert wrong.startswith(f"{path}:")
    assert complaint in wrong


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shmalloc/core/zone_sleep.c", '#include "zone.h"\n#include "layout.h"\n#include <errno.h>'),
        ("shmalloc/cli/check.py", "from shmalloc.report import table\nfrom shmalloc import _native"),
        ("witness/classes.py", "from shmalloc import _native"),
        ("workloads/run.py", "import faultinj\nimport witness\nimport shmalloc.report.page"),
    ],
)
def test_an_arrow_that_points_down_is_let_pass(tmp_path: Path, path: str, text: str) -> None:
    for header in ("layout.h", "zone.h"):
        file = tmp_path / "shmalloc/core" / header
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    assert wrong_arrows(tmp_path) == []
