"""Programs under witness without a change: `witness run`. The hook enters every interpreter of the process tree."""
