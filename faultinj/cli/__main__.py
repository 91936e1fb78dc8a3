"""`python -m faultinj.cli`."""

from faultinj.cli import main

main()
