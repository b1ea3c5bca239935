"""The pure core: what is known, what it proves, what to do. No clock, no I/O, no randomness; numpy and scipy only."""
