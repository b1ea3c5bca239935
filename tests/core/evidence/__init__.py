"""The evidence, from formula to promise."""
