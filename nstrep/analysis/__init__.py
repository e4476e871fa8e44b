"""Reading run directories back: runs, sweeps, the keys that vary and the summary table."""
