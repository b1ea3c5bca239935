"""The papers as data: tables, fenced blocks, code in the text, links and headings of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page. `prose` is its text without the fenced blocks."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def prose(self) -> str:
        return _FENCE.sub("", self.text)

    def fences(self, *languages: str) -> list[str]:
        """The contents of the fenced blocks in these languages."""
        return [content for language, content in _FENCE.findall(self.text) if language in languages]

    def code(self) -> list[str]:
        """What stands in backticks in the text."""
        return _CODE.findall(self.prose)

    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """The headings as GitHub makes anchors of them."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(self.prose)}

    def sections(self) -> dict[str, str]:
        """Heading -> what stands below it, down to the next heading."""
        parts = re.split(r"^#+ (.*)$", self.text, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    def tables(self, *header: str) -> Iterator[list[str]]:
        """The rows of all tables with this header (or none), cells without their backticks at both ends."""
        found: list[str] | None = None
        for line in self.prose.splitlines():
            if not line.startswith("|"):
                found = None
                continue
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if found is None:
                found = cells
            elif set(line) - set("|-: ") and found == list(header):
                yield [cell.strip("`") if cell.count("`") == 2 else cell for cell in cells]


def page(name: str) -> Page:
    return Page(ROOT / "docs" / name)
