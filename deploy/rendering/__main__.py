"""`python -m deploy.rendering`: write every generated file that is not as it should be, and name it."""

from __future__ import annotations

from deploy.rendering.generated import ROOT, files


def main() -> None:
    """Write what differs."""
    for path, content in files().items():
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
