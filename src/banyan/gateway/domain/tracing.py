"""Which requests are traced is decided here and nowhere behind: by chance, as often as the control plane last said."""

from banyan.gateway.domain.world import Config, World, typed

CLUSTER = "traces"
SAMPLING = "tracing.random_sampling"
"""Envoy's runtime key, in percent."""

# An Envoy whose control plane is away cannot know how many come, so it begins with few.
FIRST_PERCENT = 1.0

UNTOLD_PATHS = "(/_banyan)?(/reset|/api/v1/password-resets)/.*"
"""As good as a password, so never written down."""

_PATH = f"%CEL(request.url_path.matches('^{UNTOLD_PATHS}$') ? '(secret)' : request.url_path)%"
_STREAMS = (
    "%CEL(response.code == 101 || 'content-type' in response.headers"
    " && response.headers['content-type'].startsWith('text/event-stream') ? 'true' : 'false')%"
)
_SAMPLERS = "extensions.tracers.opentelemetry.samplers.v3"
_SEND_SECONDS = "1s"
# Of what is too much for the monitor, or hangs there, no more than this is kept.
_LIMIT = 4

# Spans go in parcels; a request of its own for each would cost more than tracing does.
RUNTIME: Config = {"tracing.opentelemetry.min_flush_spans": 32, "tracing.opentelemetry.flush_interval_ms": 500}

NEVER: Config = {"overall_sampling": {"numerator": 0}}
"""For a route whose requests would only hide the others."""


def of_visitors(world: World) -> Config:
    return _traced(world, [_tag("url.path", _PATH), _tag("banyan.stream", _STREAMS)], callers_percent=0)


def of_services(world: World) -> Config:
    """As their caller is: decided once, at the front door. The share is the same for every listener, so a caller that
    is traced says so by x-client-trace-id, too, which counts here whatever the share has become meanwhile."""
    nobody = typed(f"{_SAMPLERS}.TraceIdRatioBasedSamplerConfig", sampling_percentage={"numerator": 0})
    parent: Config = typed(
        f"{_SAMPLERS}.ParentBasedSamplerConfig",
        wrapped_sampler={"name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based", "typed_config": nobody},
    )
    sampler: Config = {"name": "envoy.tracers.opentelemetry.samplers.parent_based", "typed_config": parent}
    return _traced(world, [], callers_percent=100, sampler=sampler)


def cluster(world: World) -> Config:
    endpoint = {"endpoint": {"address": {"pipe": {"path": world.monitor}}}}
    return {
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {
            "thresholds": [{"max_connections": _LIMIT, "max_pending_requests": _LIMIT, "max_requests": _LIMIT}]
        },
    }


def kept_from_old_site(world: World) -> Config:
    """What a cluster's requests pass last of all: the old site gets no header that it did not get before."""
    if not world.traced or world.trusted_hops > 0:
        return {}
    removal = typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": [{"remove": "traceparent"}, {"remove": "tracestate"}]},
    )
    codec = typed("extensions.filters.http.upstream_codec.v3.UpstreamCodec")
    return {
        "http_filters": [
            {"name": "banyan.untraced", "typed_config": removal},
            {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
        ]
    }


def share(requests_per_second: float, *, wanted: float) -> float:
    """How many percent of the requests are traced, so that about `wanted` in a second are: all, while there are few."""
    if requests_per_second <= wanted:
        return 100.0
    return 100.0 * wanted / requests_per_second


class Steps:
    """A share in whole percent, which is all that Envoy takes here: now a little more, now a little less."""

    def __init__(self) -> None:
        self._owed = 0.0

    def next(self, share: float) -> int:
        self._owed = min(self._owed, 1.0) + share
        percent = min(100, int(self._owed))
        self._owed -= percent
        return percent


def _traced(world: World, tags: list[Config], *, callers_percent: int, **more: Config) -> Config:
    if not world.traced:
        return {}
    exporter = typed(
        "config.trace.v3.OpenTelemetryConfig",
        service_name="envoy",
        **more,
        http_service={
            "http_uri": {"uri": "http://monitor/v1/traces", "cluster": CLUSTER, "timeout": _SEND_SECONDS},
        },
    )
    return {
        "tracing": {
            "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": exporter},
            "client_sampling": {"value": callers_percent},
            "random_sampling": {"value": FIRST_PERCENT},
            "operation": "%REQ(:METHOD)% %ROUTE_NAME%",
            # Of the path only what the tag below says of it: Envoy's own would have the query, too.
            "max_path_tag_length": 0,
            "custom_tags": [_tag("banyan.request_id", "%STREAM_ID%"), *tags],
        },
        # The decision must not change the id by which a request is found.
        "request_id_extension": {
            "typed_config": typed("extensions.request_id.uuid.v3.UuidRequestIdConfig", pack_trace_reason=False)
        },
    }


def _tag(name: str, value: str) -> Config:
    return {"tag": name, "value": value}
