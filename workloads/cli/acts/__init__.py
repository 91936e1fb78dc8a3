"""The acts of the demo that are more than one run of a workload: one file each."""
