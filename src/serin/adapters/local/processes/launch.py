"""The first thing that runs in a child, as a script: bind its life to the home's, then become the program.

    python -I -S launch.py PARENT_PID PROGRAM WORD...      (words[0] of the program is PROGRAM)

A script and not a `preexec_fn`: the home has threads, and code between fork and exec may deadlock then.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns: becomes the program, or exits with 126 or 127 as a shell does."""
    parent, words = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        print(f"serin: the kernel refuses PR_SET_PDEATHSIG: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(126)
    if os.getppid() != parent:
        sys.exit(126)  # the home died before the kernel knew that it matters
    # Python ignores these two, and what is ignored stays ignored after exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execv(words[0], words)
    except OSError as error:
        print(f"serin: cannot run {words[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
