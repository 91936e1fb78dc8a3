"""The workloads themselves, one file each."""
