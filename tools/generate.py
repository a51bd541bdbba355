"""Writes what is generated from code into `docs/`, and tells what there is stale or breaks a published API."""

import argparse
import json
import sys
from pathlib import Path

from tools import (
    api,
    api_page,
    asyncapi,
    cli_page,
    code_map,
    event_golden,
    events_page,
    figures_page,
    permissions_page,
    pictures,
    settings_page,
)

ROOT = Path(__file__).parents[1]


def pages() -> dict[Path, str]:
    """Every generated file and its fresh content."""
    documents = api.documents()
    events = event_golden.files()
    return {
        **events,
        ROOT / "docs/asyncapi.json": asyncapi.text(events),
        ROOT / "docs/events.md": events_page.page(events),
        ROOT / "docs/map.md": code_map.page(),
        ROOT / "docs/settings.md": settings_page.page(),
        ROOT / "docs/reference/api.md": api_page.page(documents),
        ROOT / "docs/reference/cli.md": cli_page.page(),
        ROOT / "docs/reference/figures.md": figures_page.page(),
        ROOT / "docs/reference/permissions.md": permissions_page.page(),
        **{ROOT / f"docs/images/{name}": text for name, text in pictures.drawings().items()},
        **{ROOT / f"docs/api/{name}.json": text for name, text in documents.items()},
    }


def stale() -> list[str]:
    """One sentence for each generated file that does not match the code."""
    faults = event_golden.faults()
    for path, text in pages().items():
        name = path.relative_to(ROOT)
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        faults += [f"{name}: {change}" for change in breaking(path, old, text)]
        faults.append(f"{name} is stale: run `make fresh`")
    return faults


def breaking(path: Path, old: str, new: str) -> list[str]:
    if path.parent.name != "api" or not old:
        return []
    return api.breaking_changes(json.loads(old), json.loads(new))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--allow-breaking", action="store_true", help="no page, program or stored event has the old form"
    )
    allowed = parser.parse_args().allow_breaking
    _events(allowed=allowed)
    for path, text in pages().items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        broken = breaking(path, old, text)
        if broken and not allowed:
            for change in broken:
                print(f"{path.relative_to(ROOT)}: {change}", file=sys.stderr)
            sys.exit(
                "Front end and back end are deployed apart, so a published API only grows. Keep the old form beside "
                "the new one; when nobody uses it any more: .venv/bin/python -m tools.generate --allow-breaking"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _events(*, allowed: bool) -> None:
    """Ends the program where a published event was changed; forgets those that nothing can hold any more."""
    faults = event_golden.faults()
    if faults and not allowed:
        sys.exit("\n".join(faults))
    for path in event_golden.gone():
        path.unlink()


if __name__ == "__main__":
    main()
