"""`python -m workloads`: the command line. Owns nothing else."""

from workloads.cli import main

main()
