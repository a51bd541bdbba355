"""The gateway's world as the settings describe it."""

import ipaddress
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from banyan.gateway.domain.defaults import default_routes
from banyan.gateway.domain.routes import Route
from banyan.gateway.domain.world import SERVICES, OldSite, World
from banyan.infra.settings import SettingError, Settings

DEMO_OLD_SITE = "old-site"

# Where the systems that Python's own answer misses keep their authorities.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def world(settings: Settings) -> World:
    """Raises SettingError for a file that is not there."""
    for variable, file in (("BANYAN_TLS_CERT", settings.tls_cert), ("BANYAN_TLS_KEY", settings.tls_key)):
        if file and not Path(file).is_file():
            raise SettingError(f"{variable} is {file!r}; there is no such file.")
    return World(
        host=_address(settings.host),
        port=settings.port,
        public_url=settings.url,
        tls_cert=settings.tls_cert and str(Path(settings.tls_cert).absolute()),
        tls_key=settings.tls_key and str(Path(settings.tls_key).absolute()),
        old_site=_old_site(settings),
        services={service: str(settings.socket(service)) for service in SERVICES},
        monitor=str(settings.socket("monitor")),
        traced=settings.traces > 0,
        run=str(settings.run),
        folder=str(settings.data / "envoy"),
        access_log="errors" if settings.access_log == "errors" else "off" if settings.access_log == "off" else "all",
        access_log_path=str(settings.logs / "access.log"),
        trusted_hops=settings.trusted_hops,
        legacy_timeout=settings.legacy_timeout,
        legacy_connect_timeout=settings.legacy_connect_timeout,
        legacy_idle=settings.legacy_idle,
        stream_idle=settings.stream_idle,
        new_timeout=settings.new_timeout,
        clock_skew=settings.clock_skew,
    )


def defaults(settings: Settings) -> tuple[Route, ...]:
    """The route table of the first start."""
    return default_routes(demo=settings.demo and not settings.no_legacy, other_old_site=bool(settings.legacy_url))


def _address(host: str) -> str:
    """Envoy listens on addresses only."""
    if _is_ip(host):
        return host
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        raise SettingError(f"BANYAN_HOST (--host) is {host!r}; no address of that name is known.") from None


def _old_site(settings: Settings) -> OldSite | None:
    if settings.no_legacy:
        return None
    if not settings.legacy_url:
        return OldSite(socket=str(settings.socket(DEMO_OLD_SITE))) if settings.demo else None
    parts = urlsplit(settings.legacy_url)
    name = parts.hostname or ""
    tls = parts.scheme == "https"
    ip = _is_ip(name)
    # A certificate is hardly ever for an address: then it is for the name the old site is asked by.
    asked_by = settings.legacy_host.rsplit(":", 1)[0] if ip and settings.legacy_host else name
    return OldSite(
        address=name,
        port=parts.port or (443 if tls else 80),
        is_ip=ip,
        tls=tls,
        verified_name=asked_by if tls else "",
        ca=_authorities(settings) if tls else "",
        host=settings.legacy_host,
    )


def _authorities(settings: Settings) -> str:
    if settings.legacy_ca:
        if not Path(settings.legacy_ca).is_file():
            raise SettingError(f"BANYAN_LEGACY_CA is {settings.legacy_ca!r}; there is no such file.")
        return str(Path(settings.legacy_ca).absolute())
    for bundle in (ssl.get_default_verify_paths().cafile, *_BUNDLES):
        if bundle and Path(bundle).is_file():
            return bundle
    raise SettingError("No file of certificate authorities was found on this machine; name one by BANYAN_LEGACY_CA.")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
