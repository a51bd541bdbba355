"""One value at a time: from text, to text, and what kind of thing it is."""

from urllib.parse import urlsplit


class SettingError(Exception):
    """A setting cannot be used; the message names the variable and says what it takes."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address can be only this machine (names that DNS might answer for do not count)."""
    if host in ("localhost", "::1"):
        return True
    octets = host.split(".")
    return len(octets) == 4 and octets[0] == "127" and all(octet.isdigit() for octet in octets)


def is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        portis_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare and portis_fine


def is_database(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("postgres", "postgresql") and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def parse(variable: str, text: str, kind: type) -> object:
    if kind is bool:
        if text not in ("0", "1"):
            raise SettingError(f"{variable} is {text!r}; it takes 0 or 1.")
        return text == "1"
    try:
        value: object = kind(text)
    except ValueError:
        raise SettingError(f"{variable} is {text!r}; it takes a number.") from None
    if isinstance(value, int | float) and not 0 <= value < 1e12:
        raise SettingError(f"{variable} is {text!r}; it takes a number of 0 or more.")
    return value


def named_sizes(variable: str, text: str) -> dict[str, int]:
    """`name=bytes,name=bytes`. Raises SettingError."""
    sizes = {}
    for part in filter(None, text.split(",")):
        name, _, size = part.partition("=")
        if not (name.strip() and size.strip().isdecimal()):
            raise SettingError(f"{variable} is {text!r}; it takes name=bytes,name=bytes.")
        sizes[name.strip()] = int(size)
    return sizes


def text_of(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
