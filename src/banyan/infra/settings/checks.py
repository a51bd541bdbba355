"""Which settings go together."""

import re
from urllib.parse import urlsplit

from banyan.infra.settings.fields import Fields
from banyan.infra.settings.values import SettingError, is_loopback, is_origin, named_sizes

_LONGEST_RETENTION = 36_500
_LONGEST_UPKEEP = 86_400
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_=.-]+)*/?")
_QUEUE_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,30}")


def check(settings: Fields) -> None:
    """Raises SettingError for values that do not go, or do not go together."""
    if not 1 <= settings.port <= 65535:
        raise SettingError(f"BANYAN_PORT is {settings.port}; it takes a port from 1 to 65535.")
    if settings.legacy_url and not is_origin(settings.legacy_url):
        raise SettingError(
            f"BANYAN_LEGACY_URL (--legacy) is {settings.legacy_url!r}; it takes http(s)://host[:port] with no path."
        )
    if settings.legacy_url and settings.no_legacy:
        raise SettingError("BANYAN_LEGACY_URL (--legacy) and BANYAN_NO_LEGACY (--no-legacy) exclude each other.")
    if settings.public_url and not is_origin(settings.public_url):
        raise SettingError(f"BANYAN_PUBLIC_URL is {settings.public_url!r}; it takes http(s)://host[:port].")
    if settings.access_log not in ("all", "errors", "off"):
        raise SettingError(f"BANYAN_ACCESS_LOG is {settings.access_log!r}; it takes all, errors or off.")
    if settings.request_log not in ("slow", "all"):
        raise SettingError(f"BANYAN_REQUEST_LOG is {settings.request_log!r}; it takes slow or all.")
    if settings.health not in ("all", "brief"):
        raise SettingError(f"BANYAN_HEALTH is {settings.health!r}; it takes all or brief.")
    _check_events(settings)
    if settings.otlp_url and not is_origin(settings.otlp_url):
        raise SettingError(f"BANYAN_OTLP_URL is {settings.otlp_url!r}; it takes http(s)://host[:port] with no path.")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingError("BANYAN_TLS_CERT and BANYAN_TLS_KEY go together; one of them is missing.")
    named_sizes("BANYAN_MEMORY_BYTES_OF", settings.memory_of)
    if settings.in_flight < 1:
        raise SettingError(f"BANYAN_IN_FLIGHT is {settings.in_flight}; it takes at least 1.")
    if settings.demo and not (is_loopback(settings.host) and _legacy_is_loopback(settings)):
        raise SettingError(
            "--demo has well-known passwords, so it runs on loopback only: --host 127.0.0.1, old site on loopback."
        )


def _legacy_is_loopback(settings: Fields) -> bool:
    return not settings.legacy_url or is_loopback(urlsplit(settings.legacy_url).hostname or "")


def _check_events(settings: Fields) -> None:
    if settings.broker not in ("pgmq", "sns+sqs"):
        raise SettingError(f"BANYAN_BROKER is {settings.broker!r}; it takes pgmq or sns+sqs.")
    if settings.queue_order not in ("fifo", "standard"):
        raise SettingError(f"BANYAN_QUEUE_ORDER is {settings.queue_order!r}; it takes fifo or standard.")
    if not _QUEUE_PREFIX.fullmatch(settings.queue_prefix):
        raise SettingError(f"BANYAN_QUEUE_PREFIX is {settings.queue_prefix!r}; it takes 1-30 letters, digits, - and _.")
    if not 0 < settings.event_retention <= _LONGEST_RETENTION:
        raise SettingError(
            f"BANYAN_EVENT_RETENTION_DAYS is {settings.event_retention:g}; it takes more than 0, and"
            f" {_LONGEST_RETENTION} at most."
        )
    if not 0 < settings.event_upkeep <= _LONGEST_UPKEEP:
        raise SettingError(
            f"BANYAN_EVENT_UPKEEP_SECONDS is {settings.event_upkeep:g}; it takes more than 0, and {_LONGEST_UPKEEP} (a"
            " day) at most, because days are made a week ahead."
        )
    if settings.object_store and not (_BUCKET.fullmatch(settings.object_store) or _is_folder(settings.object_store)):
        raise SettingError(
            f"BANYAN_OBJECT_STORE is {settings.object_store!r}; it takes a folder's whole path, or s3://bucket/prefix."
        )
    if settings.event_attempts < 1:
        raise SettingError(f"BANYAN_EVENT_ATTEMPTS is {settings.event_attempts}; it takes at least 1.")


def _is_folder(text: str) -> bool:
    """Processes may be started from anywhere, so a path that depends on where leads each of them elsewhere."""
    return text.startswith(("/", "~")) and "\0" not in text
