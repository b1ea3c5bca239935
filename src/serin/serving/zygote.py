"""The process that imports TensorFlow once and forks a process for each version: `python -m serin.serving.zygote FD`.

It reads orders from the socket FD, one line of JSON each with a socket beside it: which folder to serve on that socket.
For each it forks a child, which loads the model and answers frames until the socket closes. The zygote itself never
makes a session and never has a second thread, so that forking stays safe; it ends when its own socket closes. A child
dies with the zygote, the zygote with the process that started it (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path

from serin.errors import SerinError
from serin.serving.frames import ACTIONS, HEADER, Frame, greeting, unpacked
from serin.serving.protocol import Code

_PR_SET_PDEATHSIG = 1
_LONGEST_ORDER = 65_536


def main(descriptor: int) -> None:
    """Import TensorFlow, then fork a child for each order until the socket closes."""
    die_with_parent(os.getppid())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a graceful end comes through the socket, when nothing is under way
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children; their sockets tell of their end
    from serin.serving.savedmodel import runtime

    orders = socket.socket(fileno=descriptor)
    try:
        runtime()
    except SerinError as error:
        orders.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    gc.collect()
    gc.freeze()  # so that looking for garbage in a child does not copy the memory it shares
    orders.sendall(b"{}\n")
    zygote = os.getpid()
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, 1)
        if not message:
            return
        if os.fork() == 0:
            orders.close()
            die_with_parent(zygote)
            order = json.loads(message)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                _serve(socket.socket(fileno=descriptors[0]), Path(order["folder"]), order["threads"])
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, and end now if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _serve(connection: socket.socket, folder: Path, threads: int) -> None:
    """Load the model, greet, and answer one frame after the other."""
    from serin.serving.savedmodel import SavedModel

    try:
        model = SavedModel(folder, threads)
    except SerinError as error:
        connection.sendall(Frame(0, Code.INTERNAL.number, str(error).encode()).packed())
        return
    gc.set_threshold(50_000, 20, 100)
    connection.sendall(Frame(0, Code.OK.number, greeting(model.signatures)).packed())
    while header := _read(connection, HEADER.size):
        length, question = unpacked(header)
        body = _read(connection, length) if length else b""
        answer = model.answer(ACTIONS[question.kind], body)
        reply = Frame(question.id, answer.code.number, answer.body, answer.runtime, answer.examples)
        connection.sendall(reply.packed())


def _read(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; none when the other side has closed."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = connection.recv_into(view[got:])
        if not count:
            return b""
        got += count
    return bytes(data)


if __name__ == "__main__":
    main(int(sys.argv[1]))
