"""Benchmarks: shmalloc against its peers, in one run, as ratios.

Owns the `workloads bench` and `workloads compare` commands: C programs compiled on demand (`workloads/bench/c`), Python
statements, messages between two processes, and the figures that shmalloc has to reach (`targets`). Nothing here is a
test: a noisy machine may miss a target, and only ratios measured in the same run mean anything.
Must not be imported by shmalloc; every peer is optional and its absence is a reason in the report, never a failure.
"""
