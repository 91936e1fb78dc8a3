"""Stress runs, real-traffic runs and benchmarks of shmalloc: real processes as CPUs, every item checked.

Owns the workloads (`workloads.stress`), the runner that gives each of them N pinned processes and a deadline, the
report page and the `workloads` command. Must not reach below the Python face of shmalloc.
"""
