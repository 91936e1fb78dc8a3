"""The command line `faultinj`: one file a command."""

import typer

from faultinj.cli.campaign import campaign

app = typer.Typer(name="faultinj", no_args_is_help=True, add_completion=False)
app.add_typer(campaign, name="campaign")


@app.callback()
def _before() -> None:
    """Options before the command."""
