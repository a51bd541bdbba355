"""What the documentation's site has beside the files in `docs/`: the list of decisions, CONTRIBUTING.md, and our own
pictures as part of their page, so that they follow its light and dark colours."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_PICTURE = re.compile(r'<p><img alt="([^"]*)" src="(?:\.\./)*images/([a-z-]+\.svg)" ?/?></p>')


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    records = sorted(path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md"))
    for entry in config.nav or []:
        if "Decisions" in entry:
            entry["Decisions"] = ["adr/README.md", *(f"adr/{name}" for name in records)]
    return config


def on_files(files: Files, config: "MkDocsConfig") -> Files:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = text.replace("](docs/", "](").replace("](adr/)", "](adr/README.md)")
    files.append(
        File.generated(
            config, "contributing.md", content=text.replace("[Apache License 2.0](LICENSE)", "Apache License 2.0")
        )
    )
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: Files) -> str:
    up = "../" * page.file.src_uri.count("/")
    return markdown.replace(f"]({up}../CONTRIBUTING.md)", f"]({up}contributing.md)")


def on_page_content(html: str, page: "Page", config: "MkDocsConfig", files: Files) -> str:
    return _PICTURE.sub(lambda found: _inline(found[1], ROOT / "docs/images" / found[2]), html)


def _inline(words: str, path: Path) -> str:
    return f'<figure class="drawing" role="img" aria-label="{words}">{path.read_text(encoding="utf-8")}</figure>'
