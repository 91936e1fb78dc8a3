"""Facts of this machine that a figure depends on. Owns the reading of /proc and of the compiler's version; leaves out
every name that would tell whose machine it is."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from workloads.bench.build import find_compiler
from workloads.bench.records import Machine


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name, "unknown" where the system does not tell."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Processor", "cpu model"):
            return value.strip()
    return platform.machine() or "unknown"


def compiler_version() -> str:
    """First line of `cc --version`, or "none"."""
    compiler = find_compiler("cc", "gcc", "clang")
    if compiler is None:
        return "none"
    told = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=20, check=False)
    return told.stdout.partition("\n")[0].strip() or "unknown"


def usable_cores() -> list[int]:
    """The cores this process may run on, ascending."""
    return sorted(os.sched_getaffinity(0))


def read_machine() -> Machine:
    """The facts of the machine this runs on."""
    return Machine(
        cpu=cpu_model(),
        cores=len(usable_cores()),
        kernel=f"{platform.system()} {platform.release().split('-')[0]}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        compiler=compiler_version(),
    )
