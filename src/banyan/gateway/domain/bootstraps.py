"""What Envoy reads when it starts: listeners, admin, where the files are. Routes never touch this."""

from collections.abc import Sequence

from banyan.gateway.domain import listeners, tracing
from banyan.gateway.domain.world import OWNER_ONLY, Config, World, typed

ADMIN_SOCKET = "envoy-admin.sock"

_MOST_CONNECTIONS = 50_000

# Envoy keeps some hundred figures of each cluster; these are the ones that anybody reads.
_KEPT_FIGURES = (
    r"cluster\.[^.]+\.(upstream_rq_(total|completed|active|timeout|time|retry|[2345]xx|pending_overflow)"
    r"|upstream_cx_(total|active|connect_fail|overflow)|membership_healthy|outlier_detection\.ejections_active)",
    r"cluster_manager\.(cds\..*|warming_clusters|active_clusters)",
    r"http\.(front|private)\.(rds\..*|downstream_(rq|cx)_.*)",
    r"http\.(front|private)\.tracing\.random_sampling",
    r"tracing\.opentelemetry\..*",
    r"listener_manager\..*",
    r"extension_config_discovery\..*",
    r"server\.(live|uptime|state|memory_allocated|concurrency|total_connections)",
)


def bootstrap(world: World) -> Config:
    """Listeners stand here and not in a file of their own: Envoy then refuses to start instead of not listening."""
    front = listeners.front(world, rds=_file_source(world, "rds", "routes.json"))
    return {
        **_frame(world),
        "dynamic_resources": {"cds_config": _file_source(world, "cds", "clusters.json")},
        "static_resources": _statics(world, front, (), discovered=True),
    }


def self_contained(world: World, *, clusters: Sequence[Config], routes: Config) -> Config:
    """The same without any file beside it."""
    front = listeners.front(world, route_config=routes)
    return {**_frame(world), "static_resources": _statics(world, front, clusters, discovered=False)}


def _frame(world: World) -> Config:
    return {
        "node": {"id": "banyan", "cluster": "banyan"},
        "admin": {"address": {"pipe": {"path": f"{world.run}/{ADMIN_SOCKET}", "mode": OWNER_ONLY}}},
        "layered_runtime": {
            "layers": [
                {"name": "fixed", "static_layer": tracing.RUNTIME},
                {"name": "control", "admin_layer": {}},
            ]
        },
        "stats_flush_interval": "1s",
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {"patterns": [{"safe_regex": {"regex": name}} for name in _KEPT_FIGURES]}
            },
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        max_active_downstream_connections=_MOST_CONNECTIONS,
                    ),
                }
            ]
        },
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
    }


def _statics(world: World, front: Config, clusters: Sequence[Config], *, discovered: bool) -> Config:
    # Services' own clusters are fixed: a change of routes cannot take the services' way to each other away.
    return {
        "listeners": [front, listeners.private(world, discovered=discovered)],
        "clusters": [*listeners.private_clusters(world), *clusters],
    }


def _file_source(world: World, kind: str, file: str) -> Config:
    # A folder for each kind: Envoy reads every watched file of a folder anew on each rename in it.
    folder = f"{world.folder}/{kind}"
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": f"{folder}/{file}", "watched_directory": {"path": folder}},
    }
