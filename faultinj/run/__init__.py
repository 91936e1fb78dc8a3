"""Programs that know nothing of faults, under faults: what `faultinj run` does."""
