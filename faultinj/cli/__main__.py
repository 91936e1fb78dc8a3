"""``python -m faultinj.cli`` is the command ``faultinj``."""

from faultinj.cli import main

main()
