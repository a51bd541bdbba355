"""Every setting: its variable, its default, and what it is for. `docs/settings.md` is generated from here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def _setting(variable: str, default: object, doc: str) -> Any:
    return field(default=default, metadata={"variable": variable, "doc": doc})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
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
    call_timeout: float = _setting(
        "BANYAN_CALL_TIMEOUT_SECONDS", 5.0, "A page waits so long for a service, then says that it is away."
    )
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
    upgrade_patience: float = _setting(
        "BANYAN_UPGRADE_SECONDS", 10.0, "An upgraded process that is not ready by then is put back."
    )
    stop_timeout: float = _setting("BANYAN_STOP_SECONDS", 10.0, "Time to stop before a process is killed.")
    drain: float = _setting("BANYAN_DRAIN_SECONDS", 1.0, "Time Envoy has for requests in flight when it is stopped.")
    request_log: str = _setting("BANYAN_REQUEST_LOG", "slow", "Services log requests: slow (and failed) ones, or all.")
    log_bytes: int = _setting("BANYAN_LOG_BYTES", 10_000_000, "A log file is rotated when it has grown past this.")
    log_files: int = _setting("BANYAN_LOG_FILES", 3, "Rotated log files kept of each process.")
    otlp_url: str = _setting(
        "BANYAN_OTLP_URL",
        "",
        "Where traces are sent, too: an OTLP/HTTP collector, http(s)://host:port. Empty: nowhere.",
    )
    otlp_headers: str = _setting(
        "BANYAN_OTLP_HEADERS", "", "Headers for that collector, such as a key: name=value,name=value."
    )
    traces: float = _setting(
        "BANYAN_TRACES_PER_SECOND", 10.0, "Requests traced in a second; all of them while there are fewer. 0: none."
    )
    look: float = _setting("BANYAN_LOOK_SECONDS", 1.0, "How often the monitor looks at every process.")
    alert_rules: str = _setting(
        "BANYAN_ALERT_RULES", "", "File of alert rules. Empty: alerts.rules in the data folder."
    )
    alert_calm: float = _setting(
        "BANYAN_ALERT_CALM_SECONDS", 10.0, "An alert is over when all was well so long; longer if it comes again."
    )
    alert_retry: float = _setting(
        "BANYAN_ALERT_RETRY_SECONDS",
        2.0,
        "Whom an alert did not reach is told again after this; then after twice that.",
    )
    health: str = _setting("BANYAN_HEALTH", "all", "What the public health page tells: all, or brief.")
    memory: int = _setting(
        "BANYAN_MEMORY_BYTES", 536_870_912, "A process that uses more memory than this is restarted. 0: no limit."
    )
    memory_of: str = _setting(
        "BANYAN_MEMORY_BYTES_OF",
        "",
        "Limits that differ from that one: name=bytes,name=bytes. Envoy has a limit only if it is named here.",
    )
    in_flight: int = _setting(
        "BANYAN_IN_FLIGHT", 200, "Requests that one process handles at a time; those over it are asked to come again."
    )
    in_flight_wait: float = _setting(
        "BANYAN_IN_FLIGHT_WAIT_SECONDS", 0.5, "A request over that waits so long for its turn before it is refused."
    )
    wal_archive: str = _setting(
        "BANYAN_WAL_ARCHIVE",
        "",
        "Folder that PostgreSQL's log is archived to, for a restore to any moment. Empty: none.",
    )
    wal_archive_every: float = _setting(
        "BANYAN_WAL_ARCHIVE_SECONDS", 60.0, "What was written is in that folder after this long at the latest."
    )
    replica_folder: str = _setting(
        "BANYAN_REPLICA_FOLDER",
        "",
        "Where replicas of the database servers are made, best on another disk. Empty: beside them.",
    )
    replica_log: int = _setting(
        "BANYAN_REPLICA_LOG_BYTES",
        1_073_741_824,
        "So much of its log a PostgreSQL server keeps for a replica that is away; then that must be made anew.",
    )
    replica_patience: float = _setting(
        "BANYAN_REPLICA_PATIENCE_SECONDS",
        0.0,
        "Writes wait so long for a synchronous replica that is away, then go on without it. 0: they wait for ever.",
    )
    broker: str = _setting(
        "BANYAN_BROKER",
        "pgmq",
        "What carries events: pgmq, in PostgreSQL, or sns+sqs, at AWS (AWS_* say where and who).",
    )
    queue_prefix: str = _setting("BANYAN_QUEUE_PREFIX", "banyan", "What topics and queues at AWS are called first.")
    queue_order: str = _setting(
        "BANYAN_QUEUE_ORDER", "fifo", "Topics and queues at AWS: fifo, or standard, which promises no order."
    )
    event_retention: float = _setting(
        "BANYAN_EVENT_RETENTION_DAYS", 90.0, "Events older than this are archived, and only then dropped."
    )
    object_store: str = _setting(
        "BANYAN_OBJECT_STORE",
        "",
        "Where large files are kept: a folder's whole path, or s3://bucket/prefix. Empty: in the data folder.",
    )
    event_upkeep: float = _setting(
        "BANYAN_EVENT_UPKEEP_SECONDS", 3600.0, "How often days of events are made, archived and dropped where due."
    )
    event_attempts: int = _setting(
        "BANYAN_EVENT_ATTEMPTS", 8, "An event that could not be handled so often goes to the dead letters."
    )
    person_keys: float = _setting(
        "BANYAN_PERSON_KEY_SECONDS", 300.0, "A consumer remembers the key of a person's data for so long."
    )
    reload: bool = _setting("BANYAN_RELOAD", False, "Restart a process when a file that it uses is edited.")
