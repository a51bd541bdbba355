"""The few icons there are: 20 px, strokes of 1.75 px, hidden from screen readers because words stand beside them."""


class Drawing(str):
    """SVG that we drew: a template takes it as it is. Never made from what somebody wrote."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


_PATHS = {
    "search": '<circle cx="9" cy="9" r="5.5"/><path d="m13.2 13.2 4 4"/>',
    "language": (
        '<circle cx="10" cy="10" r="7.2"/><path d="M2.8 10h14.4M10 2.8c2.2 2 3.2 4.4 3.2 7.2s-1 5.2-3.2 '
        '7.2c-2.2-2-3.2-4.4-3.2-7.2s1-5.2 3.2-7.2"/>'
    ),
    "auto": ('<circle cx="10" cy="10" r="7.2"/><path d="M10 2.8v14.4a7.2 7.2 0 0 0 0-14.4" fill="currentColor"/>'),
    "light": (
        '<circle cx="10" cy="10" r="3.5"/><path d="M10 1.8v1.7m0 13v1.7M1.8 10h1.7m13 0h1.7M4.2 4.2l1.2 '
        '1.2m9.2 9.2l1.2 1.2m0-11.6-1.2 1.2m-9.2 9.2-1.2 1.2"/>'
    ),
    "dark": '<path d="M16.8 11.8A7.2 7.2 0 0 1 8.2 3.2a7.2 7.2 0 1 0 8.6 8.6"/>',
    "filter": '<path d="M3 5.5h14M5.5 10h9M8 14.5h4"/>',
    "close": '<path d="m5 5 10 10M15 5 5 15"/>',
    "check": '<path d="m4 10.5 4 4 8-9"/>',
    "play": '<path d="M6.5 4.3v11.4L15.5 10z"/>',
    "text": '<path d="M4 5h12M4 10h12M4 15h7"/>',
    "clock": '<circle cx="10" cy="10" r="7.2"/><path d="M10 5.8V10l2.8 2"/>',
    "people": (
        '<circle cx="7.8" cy="6.8" r="3"/><path d="M2.3 16.5c.4-3 2.6-4.7 5.5-4.7s5.1 1.7 5.5 4.7M13.2 '
        '4a3 3 0 0 1 0 5.6M15.3 12.3c1.3.7 2.1 2.1 2.4 4.2"/>'
    ),
    "lessons": (
        '<path d="M10 5.5C8.5 4.2 6 3.8 3 4v11.5c3-.2 5.5.2 7 1.5 1.5-1.3 4-1.7 7-1.5V4c-3-.2-5.5.2-7 1.5M10 5.5V17"/>'
    ),
    "level": '<path d="M4 16.5V12m6 4.5V8m6 8.5v-13"/>',
    "down": '<path d="m5 7.5 5 5 5-5"/>',
    "next": '<path d="m7.5 5 5 5-5 5"/>',
    "back": '<path d="m12.5 5-5 5 5 5"/>',
    "refresh": '<path d="M16.5 10a6.5 6.5 0 1 1-2-4.7M16.5 2.8v3.7h-3.7"/>',
    "person": '<circle cx="10" cy="6.8" r="3.3"/><path d="M3.4 17c.5-3.3 3.1-5.2 6.6-5.2s6.1 1.9 6.6 5.2"/>',
    "leave": '<path d="M8 3.5H4.5v13H8M8.5 10h8m-3-3 3 3-3 3"/>',
    "device": '<path d="M3 4.5h14v9H3zM7 16.8h6M10 13.5v3.3"/>',
    "phone": '<rect x="6" y="2.5" width="8" height="15" rx="1.8"/><path d="M9.2 14.8h1.6"/>',
    "mail": '<path d="M3 5h14v10.5H3zM3.3 5.6 10 11l6.7-5.4"/>',
    "list": '<path d="M4 5.5h.1M8 5.5h8.5M4 10h.1M8 10h8.5M4 14.5h.1M8 14.5h8.5"/>',
    "warning": '<path d="M10 3 18 16.8H2zM10 8.2v4M10 14.6v.1"/>',
}

_ICONS = {
    name: Drawing(
        '<svg class="icon" viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor"'
        ' stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
        f"{paths}</svg>"
    )
    for name, paths in _PATHS.items()
}

MARK = Drawing(
    '<svg class="mark" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false">'
    '<path class="roots" d="M7.6 15v13.6M24.4 15v13.6"/>'
    '<path class="trunk" d="M13.9 15h4.2c0 6.4.6 11 3.6 15H10.3c3-4 3.6-8.6 3.6-15z"/>'
    '<path class="canopy" d="M5 16.5c-2.1 0-3.7-1.6-3.7-3.7 0-2.3 1.7-4.1 3.9-4.4'
    "C6.1 5.4 8.6 3.5 11.5 3.7 12.8 2.4 14.3 1.7 16 1.7s3.2.7 4.5 2c2."
    '9-.2 5.4 1.7 6.3 4.7 2.2.3 3.9 2.1 3.9 4.4 0 2.1-1.6 3.7-3.7 3.7z"/></svg>'
)


def icon(name: str) -> Drawing:
    return _ICONS[name]
