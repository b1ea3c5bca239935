"""What the HTTP process and a version's process say to each other over a socket pair: frames with a small header.

    question    id, action, body          (HTTP process -> version)
    greeting    the model's signatures    (version -> HTTP process, once it is loaded, or why it cannot be)
    answer      id, code, runtime, examples, body

A frame's header is `!IIBdI`: length of the body, id, kind or code, runtime in seconds, examples. Ids come back.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from serin.serving.protocol import CLASSIFY, PREDICT, REGRESS, Signature, TensorInfo

HEADER = struct.Struct("!IIBdI")
ACTIONS = (PREDICT, CLASSIFY, REGRESS)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `kind` is an index of ACTIONS in a question and the number of a code in an answer."""

    id: int
    kind: int
    body: bytes
    runtime: float = 0.0
    examples: int = 0

    def packed(self) -> bytes:
        """The frame as it travels."""
        return HEADER.pack(len(self.body), self.id, self.kind, self.runtime, self.examples) + self.body


def unpacked(header: bytes) -> tuple[int, Frame]:
    """The length of the body that follows a header, and the frame without it."""
    length, number, kind, runtime, examples = HEADER.unpack(header)
    return length, Frame(number, kind, b"", runtime, examples)


def greeting(signatures: Mapping[str, Signature]) -> bytes:
    """Signatures as a body."""
    described = {
        name: {
            "inputs": {key: [info.name, info.dtype, info.shape] for key, info in signature.inputs.items()},
            "outputs": {key: [info.name, info.dtype, info.shape] for key, info in signature.outputs.items()},
            "method": signature.method,
        }
        for name, signature in signatures.items()
    }
    return json.dumps(described).encode()


def signatures(body: bytes) -> dict[str, Signature]:
    """Signatures out of a body."""

    def infos(described: Mapping[str, tuple[str, str, list[int] | None]]) -> dict[str, TensorInfo]:
        return {
            key: TensorInfo(name, dtype, None if shape is None else tuple(shape))
            for key, (name, dtype, shape) in described.items()
        }

    return {
        name: Signature(infos(described["inputs"]), infos(described["outputs"]), described["method"])
        for name, described in json.loads(body).items()
    }
