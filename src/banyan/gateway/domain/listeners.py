"""The front door, and the private listener by which services call each other."""

from banyan.gateway.domain import clusters, cookies, identities, matching, replies, tracing
from banyan.gateway.domain.clusters import PRESERVE_CASE
from banyan.gateway.domain.world import OWNER_ONLY, SERVICES, Config, World, seconds, typed

PRIVATE_SOCKET = "internal.sock"

_BUFFER = 262_144
_HCM = "extensions.filters.network.http_connection_manager"
_REGEX_OF_OURS = r"x[-_.]banyan([-_.].*)?"
_HEADER_KB = 96
_IDLE_CLIENT = 120.0


def front(world: World, *, rds: Config | None = None, route_config: Config | None = None) -> Config:
    """The public listener; its routes come by file (`rds`), or stand in it to be validated (`route_config`)."""
    manager = typed(
        f"{_HCM}.v3.HttpConnectionManager",
        stat_prefix="front",
        codec_type="AUTO",
        max_request_headers_kb=_HEADER_KB,
        request_headers_timeout="30s",
        stream_idle_timeout=seconds(world.stream_idle),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        early_header_mutation_extensions=[_early(*_believed(world), _mark_streams())],
        # Identity reads the cookies before they are cut.
        http_filters=[
            *identities.of_visitors(world, discovered=rds is not None),
            cookies.cut(),
            _strip_trailers(),
            _router(),
        ],
        local_reply_config=replies.for_visitors(),
        access_log=_access_log(world),
        **_as_it_came(world),
        **_who_asks(world),
        **tracing.of_visitors(world),
    )
    if route_config is not None:
        manager["route_config"] = route_config
    else:
        manager["rds"] = {"route_config_name": "front", "config_source": rds}
    # "::" is every address of both kinds, as it is for most servers.
    address: Config = {
        "socket_address": {"address": world.host, "port_value": world.port, "ipv4_compat": world.host == "::"}
    }
    return _listener("front", address, manager, world)


def private(world: World, *, discovered: bool) -> Config:
    """An owner-only socket where the Host header names the service; nobody asserts an identity here either: a token
    does, as at the front door."""
    manager = typed(
        f"{_HCM}.v3.HttpConnectionManager",
        stat_prefix="private",
        codec_type="HTTP1",
        skip_xff_append=True,
        server_header_transformation="PASS_THROUGH",
        max_request_headers_kb=_HEADER_KB,
        stream_idle_timeout=seconds(world.stream_idle),
        early_header_mutation_extensions=[_early()],
        http_filters=[*identities.of_services(world, discovered=discovered), _strip_trailers(), _router()],
        local_reply_config=replies.for_services(),
        route_config={
            "name": "private",
            # Clusters of this listener stand in the bootstrap, so this can be checked at once.
            "validate_clusters": True,
            "virtual_hosts": [_virtual_host(service, world) for service in SERVICES],
        },
        **tracing.of_services(world),
    )
    address: Config = {"pipe": {"path": f"{world.run}/{PRIVATE_SOCKET}", "mode": OWNER_ONLY}}
    return _listener("private", address, manager, None)


def private_clusters(world: World) -> list[Config]:
    services = [clusters.new(_private_name(service), world, service) for service in SERVICES]
    return [*services, clusters.refresh(world), tracing.cluster(world)]


def _as_it_came(world: World) -> Config:
    """Paths, header names and answers stay as they are; `matching.GUARD` keeps odd paths from everything of ours."""
    return {
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": {
            "accept_http_10": True,
            "default_host_for_http_10": world.public_host,
            "enable_trailers": True,
            "header_key_format": PRESERVE_CASE,
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": _BUFFER,
            "initial_connection_window_size": 4 * _BUFFER,
        },
        "common_http_protocol_options": {"idle_timeout": seconds(_IDLE_CLIENT), "max_headers_count": 200},
    }


def _who_asks(world: World) -> Config:
    """Nobody is so near that their X-Envoy-* or request id is believed, not even on loopback."""
    return {
        "use_remote_address": True,
        "xff_num_trusted_hops": world.trusted_hops,
        # `routing` appends instead: Envoy would put an address of this machine in the place of a loopback one.
        "skip_xff_append": True,
        "internal_address_config": {
            "unix_sockets": False,
            "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}],
        },
        "always_set_request_id_in_response": True,
    }


def _listener(name: str, address: Config, manager: Config, world: World | None) -> Config:
    chain: Config = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if world is not None and world.tls_cert:
        chain["transport_socket"] = _tls(world)
    return {
        "name": name,
        "address": address,
        "per_connection_buffer_limit_bytes": _BUFFER,
        "filter_chains": [chain],
    }


def _tls(world: World) -> Config:
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [
                {"certificate_chain": {"filename": world.tls_cert}, "private_key": {"filename": world.tls_key}}
            ],
        },
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _early(*more: Config) -> Config:
    """Before anything else looks at the request: no header of ours comes from outside, in no spelling."""
    mutations = [_removed(_REGEX_OF_OURS), *more]
    return {
        "name": "banyan.early",
        "typed_config": typed(
            "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", mutations=mutations
        ),
    }


def _believed(world: World) -> list[Config]:
    """Without a trusted proxy before us, what a client says about itself is not passed on as if we had said it."""
    forged = [
        _removed(r"x-request-id|x-envoy-.*"),
        _removed(r"x[_.]forwarded[-_.](for|proto|host)|x-forwarded[_.](for|proto|host)"),
    ]
    if world.trusted_hops == 0:
        forged.append(_removed("x-forwarded-(for|proto|host)"))
        if world.traced:
            forged.append(_removed("traceparent|tracestate"))
    return forged


def _mark_streams() -> Config:
    value = {"key": matching.STREAM_HEADER, "value": "%REQ(upgrade?accept)%"}
    return {"append": {"header": value, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def _removed(regex: str) -> Config:
    return {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": regex}}}}


def _strip_trailers() -> Config:
    """Some servers put trailers beside the headers."""
    return {
        "name": "banyan.trailers",
        "typed_config": typed(
            "extensions.filters.http.header_mutation.v3.HeaderMutation",
            mutations={"request_trailers_mutations": [_removed(_REGEX_OF_OURS)]},
        ),
    }


def _router() -> Config:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
    }


def _private_name(service: str) -> str:
    return f"int~{service}"


def _virtual_host(service: str, world: World) -> Config:
    def entry(match: Config, retry_on: str) -> Config:
        retry: Config = {"retry_on": retry_on, "num_retries": 2, "retry_back_off": {"base_interval": "0.010s"}}
        action: Config = {
            "cluster": _private_name(service),
            "timeout": seconds(world.new_timeout),
            "retry_policy": retry,
        }
        return {"name": service, "match": match, "route": action}

    anything: Config = {"prefix": "/"}
    safe = matching.with_headers(anything, matching.has_method("GET", "HEAD"))
    return {
        "name": service,
        "domains": [service],
        "routes": [
            entry(safe, "connect-failure,refused-stream,reset"),
            entry(anything, "connect-failure,refused-stream,reset-before-request"),
        ],
    }


def _access_log(world: World) -> list[Config]:
    """A JSON line per request: no query, no cookie, nothing that a log should not know."""
    if world.access_log == "off":
        return []
    fields = {
        "at": "%START_TIME%",
        "request_id": "%STREAM_ID%",
        "side": "%RESP(X-BANYAN-SIDE)%",
        "route": "%ROUTE_NAME%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%PATH(NQ:PATH)%",
        "status": "%RESPONSE_CODE%",
        "ms": "%DURATION%",
        "upstream_ms": "%RESPONSE_DURATION%",
        "flags": "%RESPONSE_FLAGS%",
        "detail": "%RESPONSE_CODE_DETAILS%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "protocol": "%PROTOCOL%",
    }
    log: Config = {
        "name": "envoy.access_loggers.file",
        "typed_config": typed(
            "extensions.access_loggers.file.v3.FileAccessLog",
            path=world.access_log_path,
            log_format={"json_format": fields},
        ),
    }
    filters = [_tells_no_secret()]
    if world.access_log == "errors":
        filters.append({"or_filter": {"filters": [replies.status_at_least(500), {"response_flag_filter": {}}]}})
    log["filter"] = {"and_filter": {"filters": filters}} if len(filters) > 1 else filters[0]
    return [log]


def _tells_no_secret() -> Config:
    """The path of a link to choose a password is as good as the password, so such requests are not written down."""
    return {
        "header_filter": {
            "header": {
                "name": ":path",
                "string_match": {"safe_regex": {"regex": tracing.UNTOLD_PATHS}},
                "invert_match": True,
            }
        }
    }
