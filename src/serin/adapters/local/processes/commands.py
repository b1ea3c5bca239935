"""From a container and its image to what is run: command line, environment, folder. As a kubelet reads them.

`command` replaces the image's entrypoint and with it its cmd, `args` replaces its cmd. `$(NAME)` in a word stands for
a variable of the container (its image's, the Pod's own, its `env`), `$$(NAME)` for the text `$(NAME)`; unknown names
stay as they are.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serin.adapters.local.processes.images import Image
from serin.errors import InvalidInput
from serin.ports import Object

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.\-][A-Za-z0-9_.\-]*)\))")
_INDEXED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
ConfigMaps = Mapping[str, Mapping[str, str]]


class CannotRun(InvalidInput):
    """This container cannot be run as it stands; `reason` is the word for its status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed: words, the container's own variables (without what the home passes on), an absolute folder."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    directory: Path


def container_of(pod: Object) -> Object:
    """The first container of a Pod: a Pod is one process here; who applies more is told so. Raises CannotRun."""
    containers = (pod.get("spec") or {}).get("containers") or []
    if not containers:
        raise CannotRun("UnsupportedPod", "the Pod has no container; name one in spec.template.spec.containers")
    return containers[0]  # type: ignore[no-any-return]


def config_maps_of(container: Object) -> set[str]:
    """Names of the ConfigMaps that the container's environment refers to."""
    names = {
        source["configMapRef"].get("name") for source in container.get("envFrom") or () if "configMapRef" in source
    }
    for entry in container.get("env") or ():
        names.add(((entry.get("valueFrom") or {}).get("configMapKeyRef") or {}).get("name"))
    return {name for name in names if name}


def environment(pod: Object, container: Object, image: Image, address: str, config_maps: ConfigMaps) -> dict[str, str]:
    """The container's variables: the image's, the Pod's own, `envFrom`, then `env`, each over those before.

    config_maps   name -> data, of those that `config_maps_of` names and that exist
    Raises CannotRun.
    """
    metadata = pod["metadata"]
    env = dict(image.env)
    env |= {"POD_IP": address, "POD_NAME": metadata["name"], "POD_NAMESPACE": metadata["namespace"]}
    for source in container.get("envFrom") or ():
        env |= _from_source(source, config_maps)
    for entry in container.get("env") or ():
        if "valueFrom" in entry:
            value = _value_from(entry, pod, address, config_maps)
            if value is not None:
                env[entry["name"]] = value
        else:
            env[entry["name"]] = expand(str(entry.get("value") or ""), env)
    return env


def _from_source(source: Object, config_maps: ConfigMaps) -> dict[str, str]:
    reference = source.get("configMapRef")
    if reference is None:
        raise CannotRun(
            "CreateContainerConfigError", "envFrom can read ConfigMaps here, nothing else; use configMapRef"
        )
    name, prefix = reference.get("name"), source.get("prefix") or ""
    if name in config_maps:
        return {f"{prefix}{key}": value for key, value in config_maps[name].items()}
    if reference.get("optional"):
        return {}
    raise CannotRun("CreateContainerConfigError", f"ConfigMap '{name}' of envFrom is not there; apply it")


def _value_from(entry: Object, pod: Object, address: str, config_maps: ConfigMaps) -> str | None:
    source, place = entry["valueFrom"] or {}, f"variable {entry['name']}"
    if "fieldRef" in source:
        return _field(source["fieldRef"].get("fieldPath", ""), place, pod, address)
    if "configMapKeyRef" in source:
        reference = source["configMapKeyRef"]
        name, key = reference.get("name"), reference.get("key")
        value = config_maps.get(name, {}).get(key)
        if value is None and not reference.get("optional"):
            missing = f"key '{key}' of ConfigMap '{name}'" if name in config_maps else f"ConfigMap '{name}'"
            raise CannotRun("CreateContainerConfigError", f"{place}: {missing} is not there; add it")
        return value
    kinds = ", ".join(source) or "nothing"
    known = "fieldRef and configMapKeyRef"
    raise CannotRun(
        "CreateContainerConfigError", f"{place}: valueFrom {kinds} is not read here; use {known}, or a value"
    )


def _field(path: str, place: str, pod: Object, address: str) -> str:
    metadata = pod["metadata"]
    plain = {f"metadata.{name}": metadata.get(name, "") for name in ("name", "namespace", "uid")}
    plain |= {"status.podIP": address, "status.hostIP": "127.0.0.1", "spec.nodeName": os.uname().nodename}
    if path in plain:
        return str(plain[path])
    if match := _INDEXED.fullmatch(path):
        return (metadata.get(match[1]) or {}).get(match[2], "")  # type: ignore[no-any-return]
    raise CannotRun(
        "CreateContainerConfigError", f"{place}: fieldPath '{path}' is unknown; known are {', '.join(plain)}"
    )


def expand(text: str, env: Mapping[str, str]) -> str:
    """The text with `$(NAME)` replaced, as Kubernetes does it."""

    def value(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return env.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def compose(container: Object, image: Image, env: Mapping[str, str]) -> Command:
    """What is executed for the container. Raises CannotRun when there is nothing to run."""
    own, args = container.get("command"), container.get("args")
    words: Sequence[Any] = [*(own or image.entrypoint), *(args or (() if own else image.cmd))]
    if not words:
        raise CannotRun(
            "RunContainerError",
            f"image '{container.get('image')}' has no entrypoint and the container no command; add one",
        )
    expanded = tuple(expand(str(word), env) for word in words)
    return Command(expanded, env, image.directory / container.get("workingDir", "."))


def runnable(command: Command, inherited: Mapping[str, str]) -> tuple[str, ...]:
    """The words to execute, the first an absolute path. `serin` is this very installation.

    Raises CannotRun when the folder or the program is not there or may not be executed.
    """
    program, *rest = command.words
    if program == "serin":
        # -P: a file of the working folder must not stand in for a module of ours.
        return (sys.executable, "-P", "-m", "serin", *rest)
    if not command.directory.is_dir():
        raise CannotRun(
            "RunContainerError", f"the working folder {command.directory} is not there; create it or name another"
        )
    path = command.env.get("PATH") or inherited.get("PATH") or os.defpath
    candidate = str(command.directory / program) if "/" in program else program
    if found := shutil.which(candidate, path=path):
        return (os.path.abspath(found), *rest)
    if "/" not in program:
        raise CannotRun(
            "RunContainerError", f"command '{program}' is not found in PATH ({path}); install it or give its path"
        )
    if os.path.isdir(candidate):
        raise CannotRun("RunContainerError", f"{candidate} is a folder, no command; name a program in it")
    if os.path.exists(candidate):
        raise CannotRun("RunContainerError", f"{candidate} may not be executed (permission denied); chmod +x it")
    raise CannotRun("RunContainerError", f"command {candidate} is not there; correct the image's entrypoint")
