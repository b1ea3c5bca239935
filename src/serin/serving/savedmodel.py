"""The one module that knows TensorFlow: it loads a SavedModel and answers one request after the other.

A model is run as TensorFlow Serving runs it: a session over the SavedModel's graph, and one prepared call for each
signature, from the tensors of its inputs to the tensors of its outputs. Nothing is traced, so a new batch size costs
nothing. [M: one 28x28 image 0.03 ms in process; a concrete function called from Python 0.46 ms]

Only the parts of TensorFlow that this needs are imported, not the public package: 700 modules instead of 3,200.
[M: 2.0 s and 380 MB instead of 9.2 s and 540 MB]
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from serin.errors import InvalidInput, NotFound
from serin.serving.documents import document, signature_name
from serin.serving.environment import prepare
from serin.serving.examples import BYTES, FLOAT, Features, examples
from serin.serving.printing import classify_body, predict_body, regress_body
from serin.serving.protocol import (
    CLASSIFY,
    DEFAULT_SIGNATURE,
    PREDICT,
    Code,
    ServingError,
    Signature,
    TensorInfo,
    error_body,
    invalid,
)  # fmt: skip
from serin.serving.servable import Answer
from serin.serving.tensors import NUMPY, Array, check_shapes, predict_request

_METHODS = {name: f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")}


def runtime() -> SimpleNamespace:
    """The parts of TensorFlow that serving needs, imported at the first call. Starts no thread. Raises NotFound."""
    prepare()
    found = importlib.util.find_spec("tensorflow") if "tensorflow" not in sys.modules else None
    if found is None and "tensorflow" not in sys.modules:
        raise NotFound("TensorFlow is not installed; install it with: pip install 'serin[tensorflow]'")
    if found is not None:
        # The package's own __init__ imports all of its interface and Keras; its parts do not need it.
        sys.modules["tensorflow"] = importlib.util.module_from_spec(found)
    try:
        return _parts()
    except (ImportError, AttributeError):
        if found is None:
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "tensorflow"]:
            del sys.modules[name]
        importlib.import_module("tensorflow")
        return _parts()


def _parts() -> SimpleNamespace:
    from tensorflow.core.example import example_pb2
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.client import session
    from tensorflow.python.framework import errors, ops
    from tensorflow.python.saved_model import loader_impl

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return SimpleNamespace(
        Example=example_pb2.Example,
        DataType=types_pb2.DataType,
        ConfigProto=config_pb2.ConfigProto,
        CallableOptions=config_pb2.CallableOptions,
        Session=session.Session,
        OpError=errors.OpError,
        Graph=ops.Graph,
        load=loader_impl.load,
    )


class SavedModel:
    """A loaded SavedModel. `answer` may be called from several threads."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Load `folder`; `threads` is how many one operation may use. Raises InvalidInput."""
        self._tf = tf = runtime()
        graph = tf.Graph()
        # -1: operations run in the thread that asks, without a hand-over to another one.
        config = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=-1)
        self._session = tf.Session(graph=graph, config=config)
        try:
            with graph.as_default():
                meta = tf.load(self._session, ["serve"], str(folder))
        except (tf.OpError, OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(getattr(error, "message", error)).split())
            raise InvalidInput(f"the SavedModel in {folder} cannot be loaded: {reason[:300]}") from None
        self.signatures: dict[str, Signature] = {
            name: _signature(tf, definition) for name, definition in meta.signature_def.items()
        }
        self._calls = {
            name: self._call(signature) for name, signature in self.signatures.items() if _callable(signature)
        }
        self._warm_up()

    def answer(self, action: str, body: bytes) -> Answer:
        """The answer to `predict`, `classify` or `regress`; every fault of the request is an answer too."""
        try:
            content = document(body)
            if action == PREDICT:
                return self._predict(content)
            return self._classify_or_regress(action, content)
        except ServingError as error:
            return Answer(error.code, error_body(str(error)))
        except self._tf.OpError as error:
            return Answer(Code.of(error.error_code), error_body(error.message))

    def _predict(self, content: Mapping[str, Any]) -> Answer:
        name = signature_name(content)
        signature = self.signatures.get(name)
        if signature is None:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        request = predict_request(content, signature)
        outputs, seconds = self.run(name, request.inputs)
        return Answer(Code.OK, predict_body(outputs, request.format), seconds)

    def _classify_or_regress(self, action: str, content: Mapping[str, Any]) -> Answer:
        name = signature_name(content)
        context, listed = examples(content)
        signature = self.signatures.get(name)
        if signature is None:
            raise invalid(f"No signature was found with the name: {name}")
        if signature.method != _METHODS[action]:
            word = "classification" if action == CLASSIFY else "regression"
            raise invalid(f"Expected {word} signature method_name to be {_METHODS[action]}. Was: {signature.method}")
        if "inputs" not in signature.inputs or len(signature.inputs) != 1:
            raise ServingError(Code.FAILED_PRECONDITION, "Expected one input Tensor.")
        serialized = np.array([self._serialized(context | example) for example in listed], dtype=np.object_)
        outputs, seconds = self.run(name, {"inputs": serialized})
        body = _classified(outputs, len(listed)) if action == CLASSIFY else _regressed(outputs, len(listed))
        return Answer(Code.OK, body, seconds, len(listed))

    def run(self, name: str, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], float]:
        """The outputs of the signature `name`, and the seconds that took. Raises ServingError, TensorFlow's OpError."""
        signature = self.signatures[name]
        if name not in self._calls:
            raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" is not for requests.')
        check_shapes(inputs, signature)
        start = time.perf_counter()
        values = self._calls[name](*(inputs[key] for key in signature.inputs))
        return dict(zip(signature.outputs, values, strict=True)), time.perf_counter() - start

    def _call(self, signature: Signature) -> Callable[..., list[Array]]:
        options = self._tf.CallableOptions(
            feed=[info.name for info in signature.inputs.values()],
            fetch=[info.name for info in signature.outputs.values()],
        )
        prepared: Callable[..., list[Array]] = self._session._make_callable_from_options(options)
        return prepared

    def _warm_up(self) -> None:
        """Run the default signature once, so that the first request does not pay for the optimizing of the graph."""
        signature = self.signatures.get(DEFAULT_SIGNATURE)
        if signature is None or signature.method != _METHODS[PREDICT]:
            return
        if any(
            info.shape is None or info.dtype not in NUMPY or info.dtype == "DT_STRING"
            for info in signature.inputs.values()
        ):
            return
        zeros = {
            name: np.zeros([max(size, 1) for size in info.shape or ()], dtype=NUMPY[info.dtype])
            for name, info in signature.inputs.items()
        }
        try:
            self.run(DEFAULT_SIGNATURE, zeros)
        except (self._tf.OpError, ServingError):
            return

    def _serialized(self, features: Features) -> bytes:
        example = self._tf.Example()
        for name, feature in features.items():
            target = example.features.feature[name]
            if feature.kind == BYTES:
                target.bytes_list.value.extend(feature.values)
            elif feature.kind == FLOAT:
                target.float_list.value.extend(feature.values)
            elif feature.kind is not None:
                target.int64_list.value.extend(feature.values)
        data: bytes = example.SerializeToString()
        return data


def _signature(tf: SimpleNamespace, definition: Any) -> Signature:
    return Signature(
        inputs={name: _tensor(tf, info) for name, info in sorted(definition.inputs.items())},
        outputs={name: _tensor(tf, info) for name, info in sorted(definition.outputs.items())},
        method=definition.method_name,
    )


def _callable(signature: Signature) -> bool:
    """Whether all its outputs are tensors: the operation that initializes a model has a signature too."""
    return bool(signature.outputs) and all(":" in info.name for info in signature.outputs.values())


def _tensor(tf: SimpleNamespace, info: Any) -> TensorInfo:
    shape = None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim)
    return TensorInfo(info.name, tf.DataType.Name(info.dtype), shape)


def _classified(outputs: Mapping[str, Array], count: int) -> bytes:
    there = {name: outputs[name] for name in ("classes", "scores") if name in outputs}
    if not there:
        text = 'Expected classification signature outputs to contain at least one of "classes" or "scores".'
        raise ServingError(Code.FAILED_PRECONDITION, text)
    for name, array in there.items():
        if array.ndim != 2 or array.shape[0] != count:
            raise invalid(f"Expected {name} Tensor shape: [batch_size num_classes] but got {list(array.shape)}")
    shapes = {array.shape for array in there.values()}
    if len(shapes) != 1:
        raise invalid("Tensors class and score should match in dim_size(1).")
    (shape,) = shapes
    labels = there.get("classes", np.full(shape, b"", dtype=np.object_))
    scores = there.get("scores", np.zeros(shape, dtype=np.float32))
    return classify_body(
        [
            [(_text(label), float(score)) for label, score in zip(*row, strict=True)]
            for row in zip(labels, scores, strict=True)
        ]
    )


def _regressed(outputs: Mapping[str, Array], count: int) -> bytes:
    values = outputs.get("outputs")
    if values is None:
        raise ServingError(Code.FAILED_PRECONDITION, "No regression outputs found in SignatureDef")
    if values.ndim != 1 and not (values.ndim == 2 and values.shape[1] == 1):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(values.shape)}"
        )
    if values.shape[0] != count:
        raise invalid(f"Input batch size did not match output batch size: {count} vs. {values.shape[0]}")
    return regress_body(values.reshape(-1).tolist())


def _text(label: Any) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
