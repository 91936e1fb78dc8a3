"""The command line `faultinj`: one file a command."""
