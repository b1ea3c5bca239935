"""What the papers name is there: commands, options, exit codes, files, links, limits; what they show can be applied."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import yaml

from serin import errors
from serin.adapters.local import events, recordings
from serin.adapters.local.processes import addresses, images, logs
from serin.api import manifest
from serin.cli import main
from serin.cli.errors import BROKEN_PIPE, INTERRUPTED
from serin.cli.root import COMMANDS, root
from serin.home.paths import Paths
from tests.docs.pages import PAGES, ROOT, Page, page

EVERY_PAGE = pytest.mark.parametrize("here", [Page(path) for path in PAGES], ids=lambda here: here.path.name)
OWN_PAGES = {"serve": "model-server.md", "load": "load.md"}
SPOKEN_OF_ONCE = {"--home", "--namespace", "-n", "--help", "-h"}


def command(name: str) -> click.Command:
    found: click.Command = getattr(import_module(f"serin.cli.{name}"), name)
    return found


def options(of: click.Command) -> set[str]:
    return {spelling for each in of.params if isinstance(each, click.Option) for spelling in spellings(each)}


def spellings(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def typed(here: Page) -> Iterator[list[str]]:
    """The words of every command line in blocks for the shell and in the text."""
    for content in here.fences("sh", "console"):
        shown = [line[2:] for line in content.splitlines() if line.startswith("$ ")]
        for line in shown or content.splitlines():
            yield shlex.split(line.removesuffix("&"), comments=True)
    for code in here.code():
        if re.match(r"(serin|make|python -m) \S", code) and "…" not in code:
            yield shlex.split(code)


@EVERY_PAGE
def test_every_command_and_option_that_is_named_exists(here: Page) -> None:
    known_targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in typed(here):
        program, *rest = words or [""]
        if program == "make":
            assert {word for word in rest if "=" not in word} <= set(known_targets), words
        elif words[:3] == ["python", "-m", "benchmarks"]:
            assert all(find_spec(f"benchmarks.{name}") for name in words[3:]), words
        elif program == "serin":
            assert unknown_in(rest) == [], words


def unknown_in(words: list[str]) -> list[str]:
    """What of the words after `serin` does not exist."""
    given = [word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]
    plain = [word for word in words if word in COMMANDS or word == "COMMAND"]
    if not plain:
        return [word for word in given if word not in options(root)] or ([] if given else words)
    allowed = options(root) | {"--help", "-h"} | (options(command(plain[0])) if plain[0] in COMMANDS else set())
    return [word for word in given if word not in allowed]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described_with_all_its_options(name: str) -> None:
    section = page("commands.md").sections()[name]
    told = (page(OWN_PAGES[name]).text if name in OWN_PAGES else section).replace("`", " ")
    for option in command(name).params:
        if isinstance(option, click.Option) and not SPOKEN_OF_ONCE & set(option.opts):
            longest = max(option.opts, key=len)
            assert re.search(rf"{re.escape(longest)}(?![\w-])", told), f"{name} {longest}"


def test_the_exit_codes_are_those_of_the_errors() -> None:
    def leaves(of: type[errors.SerinError]) -> Iterator[int]:
        yield of.exit_code
        for each in of.__subclasses__():
            yield from leaves(each)

    told = [int(code) for code, _ in page("commands.md").tables("code", "meaning")]
    assert told == sorted({0, *leaves(errors.SerinError), INTERRUPTED, BROKEN_PIPE})


@EVERY_PAGE
def test_links_lead_somewhere(here: Page) -> None:
    for link in here.links():
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (here.path.parent / name).resolve() if name else here.path
        assert target.exists(), link
        assert not anchor or anchor in Page(target).anchors(), link


@EVERY_PAGE
def test_files_that_are_named_are_there(here: Page) -> None:
    roots = ("src/", "tests/", "docs/", "examples/", "scripts/", "serin/", "core/", "control/", "adapters/")
    for code in here.code():
        if code.startswith(roots) and re.fullmatch(r"[\w./-]+", code):
            assert any((ROOT / base / code).exists() for base in ("", "src", "src/serin")), code


SNIPPETS = [
    pytest.param(content, id=f"{path.name}-{number}")
    for path in PAGES
    for number, content in enumerate(Page(path).fences("yaml"))
]


@pytest.mark.parametrize("content", SNIPPETS)
def test_what_is_shown_can_be_applied(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(content)
    if "images" in yaml.safe_load(content.split("\n---\n")[0]):
        assert images.parse(content, file)
    else:
        assert main(["lint", "-f", str(file)]) == 0
        assert capsys.readouterr().err == ""


def test_the_papers_show_the_articles_own_experiment() -> None:
    example = yaml.safe_load((ROOT / "examples/fashion-mnist/fashionmnist-v2-rollout.yaml").read_text())
    (shown,) = Page(ROOT / "README.md").fences("yaml")
    for name in ("service", "criteria", "duration", "trafficControl", "cleanup"):
        assert yaml.safe_load(shown)["spec"][name] == example["spec"][name]


def test_the_two_commands_are_the_first_thing_in_the_readme() -> None:
    readme = Page(ROOT / "README.md")
    first = readme.fences("sh")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]
    assert len(readme.text.split("```")[0].splitlines()) <= 5
    assert readme.text.index("<!-- recording: begin -->") < readme.text.index("<!-- recording: end -->")


def test_every_file_of_a_homes_folder_is_explained() -> None:
    paths = Paths(Path("/home"))
    there = {getattr(paths, name).name for name, part in vars(Paths).items() if isinstance(part, property)}
    assert {row[0] for row in page("operations.md").tables("file", "what it is")} == there


def test_the_limits_are_those_of_the_code() -> None:
    told = dict(page("operations.md").tables("what", "limit"))
    pods = addresses._LAST - addresses._FIRST + 1
    assert told["Pods of a home"].startswith(f"{pods}, ")
    assert told["homes on a machine"].startswith(f"{len(addresses._SUBNETS):,} ")
    values = f"{manifest.MAX_BYTES // 1024**2} MiB, {manifest.MAX_DEPTH} levels, {manifest.MAX_VALUES:,} values"
    assert told["a manifest file"] == values
    days = events.MAX_AGE / 86_400
    assert told["events"] == f"{events.PER_OBJECT} an object, {events.IN_ALL:,} in all, {days:g} days"
    recording = f"{recordings.LARGEST // 1024**2} MiB each, compressed; of the last {recordings.KEPT} experiments"
    assert told["recordings"] == recording
    assert told["log of a Pod"].startswith(f"4 files of {logs.LIMIT // 1024**2} MiB; of the last {logs.KEPT} Pods")


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    wanted = {re.match(r"[\w-]+", each)[0].removesuffix("-cpu") for each in declared}  # type: ignore[index]
    told = page("dependencies.md").tables("package", "what for", "why this one")
    assert wanted <= {name for cell, *_ in told for name in re.findall(r"[\w-]+", cell)}
