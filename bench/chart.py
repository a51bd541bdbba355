"""The figures as bars in one small SVG, readable on light and on dark."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.report import Panel, figure

_WIDTH = 760
_LABEL = 250
_FIGURE = 70
_BAR = 18
_GAP = 6
_HEAD = 34
_MARGIN = 16

# Middle tones: each has at least 3:1 on white and on #0d1117. Text has 4.5:1 by the reader's own scheme.
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.t{font-weight:600;fill:#24292f}"
    ".ours{fill:#2f8f5b}.peer{fill:#7d8590}"
    "@media(prefers-color-scheme:dark){text{fill:#9da7b3}.t{fill:#e6edf3}}"
)


def draw(panels: Sequence[Panel]) -> str:
    y = _MARGIN
    parts: list[str] = []
    for panel in panels:
        drawn, y = _panel(panel, y)
        parts += drawn
    height = y
    words = "; ".join(
        f"{panel.title}: " + ", ".join(f"{bar.label} {figure(bar.value)} {panel.unit}" for bar in panel.bars)
        for panel in panels
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(words, {chr(34): "&quot;"})}"><style>{_STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _panel(panel: Panel, y: int) -> tuple[list[str], int]:
    better = "more is better" if panel.more_is_better else "less is better"
    title = f"{panel.title}, {panel.unit} ({better})"
    parts = [f'<text class="t" x="{_MARGIN}" y="{y + 16}">{escape(title)}</text>']
    y += _HEAD
    longest = max((bar.value for bar in panel.bars), default=0.0) or 1.0
    space = _WIDTH - 2 * _MARGIN - _LABEL - _FIGURE
    for bar in panel.bars:
        width = max(1.0, bar.value / longest * space)
        middle = y + _BAR - 5
        kind = "ours" if bar.ours else "peer"
        x = _MARGIN + _LABEL
        parts.append(f'<text x="{x - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>')
        parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>')
        parts.append(f'<text x="{x + width + 6:.1f}" y="{middle}">{figure(bar.value)}</text>')
        y += _BAR + _GAP
    return parts, y + _MARGIN
