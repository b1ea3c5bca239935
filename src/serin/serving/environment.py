"""What the environment must say before numpy and TensorFlow are imported; both read it once, then."""

from __future__ import annotations

import os

_WANTED = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Its convolution ends the whole process when an input has too few dimensions; one request must not do that.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    # A pool of threads at import would make forking unsafe, and requests are what runs in parallel here.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


def prepare() -> None:
    """Set what is not set already; a person's own choice stays."""
    for name, value in _WANTED.items():
        os.environ.setdefault(name, value)
