"""Upstream clusters: one per (route, side), so that one hung feature is nobody else's outage."""

from banyan.gateway.domain import tracing
from banyan.gateway.domain.identities import REFRESH_CLUSTER
from banyan.gateway.domain.world import Config, OldSite, World, seconds, typed

# What Apache, PHP-FPM and friends had in front of them was no limit at all; ours only guards the gateway itself.
_OLD_LIMIT = 8192
_NEW_LIMIT = 1024
# An open page is a request that lasts; live itself refuses what is too much for it.
_STREAMS_LIMIT = 16_384
_NEW_IDLE = 60.0
_NEW_CONNECT = 2.0
_BUFFER = 262_144
# Browsers take answers with more headers than Envoy does by itself.
_OLD_HEADERS: Config = {"max_headers_count": 1000, "max_response_headers_kb": 1024}

PRESERVE_CASE: Config = {
    "stateful_formatter": {
        "name": "preserve_case",
        "typed_config": typed(
            "extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
            forward_reason_phrase=True,
        ),
    }
}


def old(name: str, world: World, site: OldSite) -> Config:
    """The old site, as one route sees it."""
    cluster = _cluster(
        name,
        limit=_OLD_LIMIT,
        connect=world.legacy_connect_timeout,
        common={"idle_timeout": seconds(world.legacy_idle), **_OLD_HEADERS},
        http={"header_key_format": PRESERVE_CASE, "enable_trailers": True, "allow_chunked_length": True},
        filters=tracing.kept_from_old_site(world),
    )
    if site.socket:
        cluster.update(type="STATIC", load_assignment=_endpoint(name, _pipe(site.socket)))
        return cluster
    address: Config = {"socket_address": {"address": site.address, "port_value": site.port}}
    cluster["load_assignment"] = _endpoint(name, address)
    if site.is_ip:
        cluster["type"] = "STATIC"
    else:
        # ALL tries IPv6 and IPv4 side by side: `localhost` is both, and many a server listens on one only.
        cluster.update(type="LOGICAL_DNS", dns_lookup_family="ALL", dns_refresh_rate="30s", dns_jitter="10s")
    if site.tls:
        cluster["transport_socket"] = _verified_tls(site)
    return cluster


def new(name: str, world: World, service: str) -> Config:
    """A service of ours on its Unix socket."""
    common: Config = {"idle_timeout": seconds(_NEW_IDLE)}
    limit = _STREAMS_LIMIT if service == "live" else _NEW_LIMIT
    cluster = _cluster(name, limit=limit, connect=_NEW_CONNECT, common=common, http={"enable_trailers": True})
    cluster.update(type="STATIC", load_assignment=_endpoint(name, _pipe(world.services[service])))
    return cluster


def refresh(world: World) -> Config:
    """iam, as renewals ask it: a hanging one costs only three visitors their patience before nobody waits for it."""
    cluster = new(REFRESH_CLUSTER, world, "iam")
    cluster["connect_timeout"] = "0.250s"
    cluster["outlier_detection"] = {
        "consecutive_5xx": 3,
        "consecutive_local_origin_failure": 3,
        "interval": "0.200s",
        "base_ejection_time": "2s",
        "max_ejection_time": "5s",
        "max_ejection_percent": 100,
    }
    cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
    return cluster


def _cluster(
    name: str, *, limit: int, connect: float, common: Config, http: Config, filters: Config | None = None
) -> Config:
    return {
        "name": name,
        "connect_timeout": seconds(connect),
        "per_connection_buffer_limit_bytes": _BUFFER,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options=common,
                explicit_http_config={"http_protocol_options": http},
                **(filters or {}),
            )
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    # Fewer pending than requests answers 503 on a cold pool; with no connection to spare, what is
                    # too much would wait in the queue instead of being told so at once.
                    "max_connections": 2 * limit,
                    "max_pending_requests": limit,
                    "max_requests": limit,
                    # A process that dies breaks all its requests at once, and each may be asked for once more.
                    "retry_budget": {"budget_percent": {"value": 100}, "min_retry_concurrency": limit},
                }
            ]
        },
        # Only failures to connect count, never an application's own 500; a lone host stays in use (panic mode).
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 5,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "1s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
    }


def _endpoint(name: str, address: Config) -> Config:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _pipe(path: str) -> Config:
    return {"pipe": {"path": path}}


def _verified_tls(site: OldSite) -> Config:
    san_type = "IP_ADDRESS" if site.is_ip and site.verified_name == site.address else "DNS"
    context = typed(
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={
            "validation_context": {
                "trusted_ca": {"filename": site.ca},
                "match_typed_subject_alt_names": [{"san_type": san_type, "matcher": {"exact": site.verified_name}}],
            }
        },
    )
    if san_type == "DNS":
        context["sni"] = site.verified_name
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}
