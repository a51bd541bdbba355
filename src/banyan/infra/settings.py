"""Settings are environment variables `BANYAN_*`; but for the URLs of databases, this file alone reads them.

Every field names its variable and says what it is for; `docs/settings.md` is generated from here.
"""

import dataclasses
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_DATABASE_URL = re.compile(r"BANYAN_([A-Z]+_DATABASE|RELAY_[A-Z]+)_URL")
LONGEST_SOCKET_PATH = 90  # sun_path holds 107 bytes; Envoy and PostgreSQL add names of their own to ours


class SettingError(Exception):
    """A setting cannot be used; the message names the variable and says what it takes."""


def _setting(variable: str, default: object, doc: str) -> Any:
    return field(default=default, metadata={"variable": variable, "doc": doc})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a Banyan process was told; durations are seconds."""

    data: Path = _setting("BANYAN_DATA", Path(".banyan"), "Data folder: databases, secrets, logs, gateway files.")
    host: str = _setting("BANYAN_HOST", "127.0.0.1", "Address of the front door.")
    port: int = _setting("BANYAN_PORT", 8000, "Port of the front door.")
    demo: bool = _setting("BANYAN_DEMO", False, "The demo: its old site, seed data and log-ins. Loopback only.")
    public_url: str = _setting("BANYAN_PUBLIC_URL", "", "URL that browsers use, if somebody else's TLS stands before.")
    legacy_url: str = _setting(
        "BANYAN_LEGACY_URL", "", "The old site: http(s)://host[:port]. Empty: the demo's own, or none outside it."
    )
    no_legacy: bool = _setting("BANYAN_NO_LEGACY", False, "There is no old site; the new side answers everything.")
    legacy_host: str = _setting("BANYAN_LEGACY_HOST", "", "Host header the old site gets instead of the public one.")
    legacy_ca: str = _setting("BANYAN_LEGACY_CA", "", "CA bundle (PEM) an https old site is verified with.")
    legacy_timeout: float = _setting(
        "BANYAN_LEGACY_TIMEOUT_SECONDS", 300.0, "The old site may be silent this long in a request before a 504."
    )
    legacy_connect_timeout: float = _setting(
        "BANYAN_LEGACY_CONNECT_TIMEOUT_SECONDS", 5.0, "Time for a connection to the old site before a 502."
    )
    legacy_idle: float = _setting(
        "BANYAN_LEGACY_IDLE_SECONDS", 1.5, "Idle connections to the old site are closed after this, before it does."
    )
    stream_idle: float = _setting(
        "BANYAN_STREAM_IDLE_SECONDS", 3600.0, "WebSockets and event streams may be silent this long."
    )
    new_timeout: float = _setting("BANYAN_NEW_TIMEOUT_SECONDS", 15.0, "Time for an answer of the new side.")
    trusted_hops: int = _setting("BANYAN_TRUSTED_HOPS", 0, "Proxies before Banyan whose X-Forwarded-* are believed.")
    tls_cert: str = _setting("BANYAN_TLS_CERT", "", "Certificate chain (PEM) for TLS at the front door.")
    tls_key: str = _setting("BANYAN_TLS_KEY", "", "Its private key (PEM).")
    access_log: str = _setting("BANYAN_ACCESS_LOG", "all", "Gateway's access log: all, errors or off.")
    envoy_concurrency: int = _setting("BANYAN_ENVOY_CONCURRENCY", 2, "Worker threads of Envoy.")
    max_body: int = _setting("BANYAN_MAX_BODY_BYTES", 1_048_576, "Largest body that a JSON endpoint takes.")
    token_life: float = _setting("BANYAN_TOKEN_SECONDS", 3600.0, "How long a session's token is believed.")
    token_fresh: float = _setting("BANYAN_FRESH_SECONDS", 300.0, "How long nobody asks iam again about a session.")
    session_life: float = _setting(
        "BANYAN_SESSION_SECONDS", 2_592_000.0, "A session ends when it was not used for so long."
    )
    clock_skew: float = _setting("BANYAN_CLOCK_SKEW_SECONDS", 5.0, "Clocks may differ by this when a token ends.")
    renew_grace: float = _setting(
        "BANYAN_RENEW_GRACE_SECONDS", 5.0, "Requests of one session in this time share one renewal."
    )
    reset_life: float = _setting("BANYAN_RESET_SECONDS", 3600.0, "How long a mailed link to set a password works.")
    invitation_life: float = _setting(
        "BANYAN_INVITATION_SECONDS", 86_400.0, "How long the link of `iam create-operator` works."
    )
    device_life: float = _setting(
        "BANYAN_DEVICE_SECONDS", 31_536_000.0, "How long a browser stays known to an account that signed in with it."
    )
    attempts_account: int = _setting(
        "BANYAN_ATTEMPTS_ACCOUNT", 5, "Failed sign-ins of one account before each next one must wait."
    )
    attempts_address: int = _setting(
        "BANYAN_ATTEMPTS_ADDRESS", 50, "Failed sign-ins from one address before each next one must wait."
    )
    attempts_wait: float = _setting(
        "BANYAN_ATTEMPTS_WAIT_SECONDS", 2.0, "The first wait after too many failed sign-ins; each next one is doubled."
    )
    attempts_wait_most: float = _setting(
        "BANYAN_ATTEMPTS_WAIT_MOST_SECONDS", 900.0, "The longest such wait of an account."
    )
    attempts_address_wait_most: float = _setting(
        "BANYAN_ATTEMPTS_ADDRESS_WAIT_MOST_SECONDS", 60.0, "The longest wait of an address, which many may share."
    )
    attempts_forget: float = _setting(
        "BANYAN_ATTEMPTS_FORGET_SECONDS", 3600.0, "Failed sign-ins are forgotten after this long without another."
    )
    resets_account: int = _setting("BANYAN_RESETS_ACCOUNT", 3, "Mails to reset a password that one account is sent.")
    key_life: float = _setting("BANYAN_KEY_SECONDS", 7_776_000.0, "A signing key is replaced after this long.")
    key_notice: float = _setting(
        "BANYAN_KEY_NOTICE_SECONDS", 120.0, "A new signing key is published for this long before it signs."
    )
    hash_threads: int = _setting("BANYAN_HASH_THREADS", 2, "Passwords hashed at the same time.")
    hash_waiting: int = _setting("BANYAN_HASH_WAITING", 20, "Passwords that may wait to be hashed; more are refused.")
    smtp_url: str = _setting(
        "BANYAN_SMTP_URL", "", "Mail server: smtp(s)://[user:password@]host[:port]; smtp upgrades to TLS where offered."
    )
    mail_from: str = _setting("BANYAN_MAIL_FROM", "Banyan <no-reply@banyan.test>", "Sender of mails.")
    mail_poll: float = _setting("BANYAN_MAIL_POLL_SECONDS", 1.0, "How often waiting mails are looked for.")
    live_watchers: int = _setting("BANYAN_LIVE_WATCHERS", 8000, "Open live pages that one process keeps up to date.")
    live_per_address: int = _setting("BANYAN_LIVE_PER_ADDRESS", 500, "Open live pages from one address.")
    live_heartbeat: float = _setting("BANYAN_LIVE_HEARTBEAT_SECONDS", 15.0, "A live page hears something so often.")
    live_drain: float = _setting(
        "BANYAN_LIVE_DRAIN_SECONDS", 10.0, "A live page whose connection takes nothing for so long is cut off."
    )
    live_longest: float = _setting(
        "BANYAN_LIVE_LONGEST_SECONDS", 3600.0, "After this a live page is asked to connect anew."
    )
    live_retry: float = _setting(
        "BANYAN_LIVE_RETRY_SECONDS", 2.0, "Shortest wait before a live page connects anew; up to twice that, by chance."
    )
    live_poll: float = _setting(
        "BANYAN_LIVE_POLL_SECONDS", 5.0, "Counts are read so often in case a notification was lost."
    )
    live_journal: float = _setting(
        "BANYAN_LIVE_JOURNAL_SECONDS", 86_400.0, "A live page that was away no longer than this misses no count."
    )
    media_url: float = _setting("BANYAN_MEDIA_URL_SECONDS", 14_400.0, "So long the address of a lesson's video plays.")
    views_pause: float = _setting("BANYAN_VIEWS_SECONDS", 1.0, "How often it is written down who looked at courses.")
    backoff: float = _setting("BANYAN_BACKOFF_SECONDS", 5.0, "Longest wait before a dead process is started again.")
    ready_timeout: float = _setting("BANYAN_READY_SECONDS", 60.0, "A process that is not ready by then is restarted.")
    hang_timeout: float = _setting("BANYAN_HANG_SECONDS", 20.0, "A process that answers no probe so long is killed.")
    stop_timeout: float = _setting("BANYAN_STOP_SECONDS", 10.0, "Time to stop before a process is killed.")
    drain: float = _setting("BANYAN_DRAIN_SECONDS", 1.0, "Time Envoy has for requests in flight when it is stopped.")
    request_log: str = _setting("BANYAN_REQUEST_LOG", "slow", "Services log requests: slow (and failed) ones, or all.")
    log_bytes: int = _setting("BANYAN_LOG_BYTES", 10_000_000, "A log file is rotated when it has grown past this.")
    log_files: int = _setting("BANYAN_LOG_FILES", 3, "Rotated log files kept of each process.")
    reload: bool = _setting("BANYAN_RELOAD", False, "Restart a process when a file that it uses is edited.")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Settings from the environment. Raises SettingError for a value of the wrong kind."""
        values: dict[str, Any] = {}
        for known in dataclasses.fields(cls):
            variable = known.metadata["variable"]
            text = environ.get(variable)
            if text is not None and text != "":
                values[known.name] = _parse(variable, text, type(known.default))
        for variable, text in environ.items():
            if _DATABASE_URL.fullmatch(variable) and text and not _is_database(text):
                raise SettingError(
                    f"{variable} cannot be used; it takes postgresql://role:password@host[:port]/database."
                )
        values["data"] = Path(values.get("data", ".banyan")).expanduser().resolve()
        settings = cls(**values)
        settings._check()
        return settings

    def environ(self) -> dict[str, str]:
        """The same settings as variables, for a child process."""
        return {
            known.metadata["variable"]: _text(getattr(self, known.name))
            for known in dataclasses.fields(self)
            if getattr(self, known.name) != known.default
        }

    @property
    def run(self) -> Path:
        """The folder of sockets and of the supervisor's state, owner-only, short enough for a Unix socket."""
        inside = self.data / "run"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH - 30:
            return inside
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        # Not the system's idea of a temporary folder: that differs from shell to shell, and `banyan stop` must find it.
        return Path(os.sep, "tmp") / f"banyan-{os.getuid()}-{digest}"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def objects(self) -> Path:
        """Files that are ours to serve, such as videos, a folder for each kind."""
        return self.data / "objects"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def url(self) -> str:
        """The URL of the front door as browsers see it, without a slash at its end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    def socket(self, process: str) -> Path:
        """Where a process listens when nobody hands it a socket."""
        return self.run / f"{process}.sock"

    def make_folders(self) -> None:
        """Create the data and run folders, owner-only. Raises SettingError if the run folder is somebody else's."""
        for folder in (self.data, self.run, self.secrets, self.logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.run, self.secrets):
            # In a shared /tmp another user may have made the folder first, to be handed our sockets.
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise SettingError(f"{folder} belongs to somebody else; remove it or choose another --data folder.")
            # Passing through may have been allowed to the user that PostgreSQL runs as; never more than that.
            folder.chmod(0o700 | stat.S_IMODE(found.st_mode) & 0o011)

    def _check(self) -> None:
        if not 1 <= self.port <= 65535:
            raise SettingError(f"BANYAN_PORT is {self.port}; it takes a port from 1 to 65535.")
        if self.legacy_url and not _is_origin(self.legacy_url):
            raise SettingError(
                f"BANYAN_LEGACY_URL (--legacy) is {self.legacy_url!r}; it takes http(s)://host[:port] with no path."
            )
        if self.legacy_url and self.no_legacy:
            raise SettingError("BANYAN_LEGACY_URL (--legacy) and BANYAN_NO_LEGACY (--no-legacy) exclude each other.")
        if self.public_url and not _is_origin(self.public_url):
            raise SettingError(f"BANYAN_PUBLIC_URL is {self.public_url!r}; it takes http(s)://host[:port].")
        if self.access_log not in ("all", "errors", "off"):
            raise SettingError(f"BANYAN_ACCESS_LOG is {self.access_log!r}; it takes all, errors or off.")
        if self.request_log not in ("slow", "all"):
            raise SettingError(f"BANYAN_REQUEST_LOG is {self.request_log!r}; it takes slow or all.")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingError("BANYAN_TLS_CERT and BANYAN_TLS_KEY go together; one of them is missing.")
        if self.demo and not (is_loopback(self.host) and self._legacy_is_loopback()):
            raise SettingError(
                "--demo has well-known passwords, so it runs on loopback only: --host 127.0.0.1, old site on loopback."
            )

    def _legacy_is_loopback(self) -> bool:
        return not self.legacy_url or is_loopback(urlsplit(self.legacy_url).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can be only this machine (names that DNS might answer for do not count)."""
    if host in ("localhost", "::1"):
        return True
    octets = host.split(".")
    return len(octets) == 4 and octets[0] == "127" and all(octet.isdigit() for octet in octets)


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare and port_is_fine


def _is_database(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("postgres", "postgresql") and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _parse(variable: str, text: str, kind: type) -> object:
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


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
