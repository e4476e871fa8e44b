"""One experiment: from a configuration to a run directory."""
