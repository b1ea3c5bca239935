"""Manifests as objects by kind, namespace and name, and who renders them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from deploy.rendering.sources import DEPLOY

Object = dict[str, Any]
Objects = dict[tuple[str, str, str], Object]

OVERLAYS = DEPLOY / "overlays"
INSTALL = DEPLOY / "install.yaml"


def objects(text: str) -> Objects:
    """The objects of a file; one that stands twice is an error."""
    found = [each for each in yaml.safe_load_all(text) if each]
    by_place = {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in found}
    assert len(by_place) == len(found), "an object stands twice"
    return by_place


def without(given: Objects, *kinds: str) -> Objects:
    return {place: each for place, each in given.items() if place[0] not in kinds}


def one(given: Objects, kind: str) -> Object:
    (found,) = [each for place, each in given.items() if place[0] == kind]
    return found


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verbs(rules: Iterable[Object]) -> dict[str, set[str]]:
    """`group/resource` to verbs; the core group is empty."""
    return {
        f"{group}/{resource}": set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
