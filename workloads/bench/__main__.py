"""`python -m workloads.bench`: the bench command alone. Owns nothing else."""

from __future__ import annotations

import typer

from workloads.bench.cli import bench

if __name__ == "__main__":
    typer.run(bench)
