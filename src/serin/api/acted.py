"""Which fields of Kubernetes' and Istio's objects the local home acts on.

`SHAPES` is the table: a field that stands in the shape of its kind (`kubernetes`, `istio`) is checked when a file is
applied, and acted on. A field that does not is kept, and named in a warning, never dropped in silence. `Only` marks a
field of which certain values are acted on, most often the default; its other values are named too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serin.api import istio, kubernetes
from serin.api.fields import Only
from serin.api.places import Step, join
from serin.api.shape import field_of, item_of, model_of
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    GATEWAY,
    NAMESPACE,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)

SHAPES: Mapping[Kind, type[kubernetes.Object]] = {
    DEPLOYMENT: kubernetes.Deployment,
    SERVICE: kubernetes.Service,
    CONFIG_MAP: kubernetes.ConfigMap,
    NAMESPACE: kubernetes.Namespace,
    GATEWAY: istio.Gateway,
    VIRTUAL_SERVICE: istio.VirtualService,
    DESTINATION_RULE: istio.DestinationRule,
}


def unacted(obj: Mapping[str, Any], kind: Kind) -> list[str]:
    """Paths of the fields that an object has and the local home does not act on, in the order of the object."""
    return [join(path) for path in _beyond(obj, SHAPES[kind], ())]


def _beyond(value: Any, annotation: Any, path: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    model = model_of(annotation)
    if model is not None and isinstance(value, Mapping):
        for name, item in value.items():
            field = field_of(model, name)
            if item is None:
                continue
            if field is None or not _is_acted_on(field.annotation, field.metadata, item):
                yield (*path, name)
            else:
                yield from _beyond(item, field.annotation, (*path, name))
    elif isinstance(value, list):
        inner = item_of(annotation)
        for index, item in enumerate(value):
            if model_of(inner) is kubernetes.Container and index > 0:
                yield (*path, index)
            else:
                yield from _beyond(item, inner, (*path, index))
    elif isinstance(value, Mapping) and (inner := item_of(annotation)) is not None:
        for name, item in value.items():
            yield from _beyond(item, inner, (*path, name))


def _is_acted_on(annotation: Any, metadata: list[Any], value: object) -> bool:
    marks = [mark for mark in (*metadata, *_marks(annotation)) if isinstance(mark, Only)]
    return not marks or value in marks[0].values


def _marks(annotation: Any) -> Iterator[Any]:
    """What `Annotated` says about the alternatives of an annotation."""
    yield from getattr(annotation, "__metadata__", ())
    for part in getattr(annotation, "__args__", ()):
        yield from getattr(part, "__metadata__", ())
