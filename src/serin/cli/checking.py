"""What `apply` and `lint` refuse before anything is written: every problem of every document, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from serin.api import check
from serin.api.manifest import Manifest
from serin.api.v1alpha2 import convert, validation
from serin.cli.port import Home
from serin.control.semantics import key, key_of, kind_of
from serin.control.telemetry import NAMESPACE as INSTALLATION
from serin.core.model import Plan
from serin.errors import Forbidden, InvalidInput, NotFound
from serin.metrics.definitions import CONFIG_MAP as METRICS
from serin.metrics.definitions import Definitions, built_in, parse_config_map
from serin.ports import CONFIG_MAP, EXPERIMENT, Object


def admitted(manifests: Sequence[Manifest]) -> list[str]:
    """What is doubtful in the documents, each doubt with its place. Raises InvalidInput with all problems of all."""
    doubts: list[str] = []
    refusals: list[str] = []
    for manifest in manifests:
        try:
            doubts += check.admit(manifest)
        except InvalidInput as error:
            refusals.append(str(error))
    if refusals:
        raise InvalidInput("\n".join(refusals))
    return doubts


def placed(manifests: Sequence[Manifest], namespace: str, *, demanded: bool) -> list[Manifest]:
    """The documents with the namespace where it is missing. Raises InvalidInput when one has another than `-n` says.

    demanded    the namespace was given with -n, so that another one in a file contradicts it
    """
    found = []
    for manifest in manifests:
        metadata, path = manifest.object["metadata"], "metadata.namespace"
        if not kind_of(manifest.object).namespaced:
            found.append(manifest)
            continue
        given = metadata.get("namespace")
        if demanded and given is not None and given != namespace:
            raise InvalidInput(f"{manifest.place.place(path)}{path}: is '{given}', but -n says '{namespace}'")
        obj = {**manifest.object, "metadata": {**metadata, "namespace": given or namespace}}
        found.append(Manifest(obj, manifest.source, manifest.lines))
    return found


def metrics_in(objects: Iterable[Object]) -> Definitions | None:
    """The installation's metric definitions, if they are among these objects."""
    place = key(CONFIG_MAP, INSTALLATION, METRICS)
    found = [parse_config_map(obj) for obj in objects if key_of(obj) == place]
    return found[-1] if found else None


async def metrics_of(home: Home) -> Definitions:
    """The metric definitions that experiments in this home use."""
    try:
        return parse_config_map(await home.get(CONFIG_MAP, INSTALLATION, METRICS))
    except (NotFound, Forbidden):  # who may apply in a cluster may not be allowed to read its settings
        return built_in()


def criteria_admitted(manifests: Sequence[Manifest], known: Definitions) -> list[str]:
    """Doubts about the criteria of experiments, given the definitions. Raises InvalidInput as `admitted` does."""
    doubts: list[str] = []
    refusals: list[str] = []
    for manifest in manifests:
        if kind_of(manifest.object) is not EXPERIMENT:
            continue
        experiment = validation.load(manifest.object)
        definitions = convert.definitions(experiment)
        found = validation.metric_problems(experiment, known) if definitions is None else []
        if found:
            refusals.append(str(manifest.place.refusal(found)))
            continue
        if definitions is None:
            warnings = validation.metric_warnings(experiment, known)
            doubts += [f"{manifest.place.place(each.path)}{each}" for each in warnings]
        plan = convert.plan(experiment, definitions or known)
        doubts += [*_not_yet(manifest, plan), *_in_vain(manifest, plan)]
    if refusals:
        raise InvalidInput("\n".join(refusals))
    return doubts


def _not_yet(manifest: Manifest, plan: Plan) -> list[str]:
    """What the experiment asks for and nobody does yet: it would wait for ever, as its status would say."""
    from serin.core.lifecycle import unsupported  # numpy and scipy come with it

    return [f"{manifest.place.place(re.split('[: ]', text)[0])}{text}" for text in unsupported(plan)]


def _in_vain(manifest: Manifest, plan: Plan) -> list[str]:
    """What no data could prove, or not in the time that the experiment has."""
    from serin.core.vain import in_vain

    return [f"{manifest.place.place(path)}{path}: {text}" for path, text in in_vain(plan)]
