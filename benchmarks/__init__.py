"""Speeds and memory, printed side by side. `python -m benchmarks` runs all, `python -m benchmarks engine` one."""
