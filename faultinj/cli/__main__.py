"""python -m faultinj.cli"""

from faultinj.cli import app

app()
