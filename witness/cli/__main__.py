"""`python -m witness.cli` is `witness`."""

from witness.cli import main

main()
