"""Configurations of what Banyan is measured against."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"
_BODY = "banyan " * 146  # 1,022 bytes


def upstream(port: int, sockets: Sequence[Path]) -> str:
    """nginx that answers 1 KB to everything, on a port and on Unix sockets."""
    listen = "".join(f" listen unix:{path};" for path in sockets)
    return (
        "  access_log off; default_type text/html; keepalive_requests 1000000000;\n"
        f"  server {{ listen 127.0.0.1:{port};{listen} location / {{ return 200 '{_BODY}'; }} }}"
    )


def nginx_proxy(port: int, old: int, new: Path, access_log: Path) -> str:
    """nginx as a gateway of two routes, with connections to both kept."""
    return (
        f"  access_log {access_log}; keepalive_requests 1000000000;\n"
        "  proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host;\n"
        "  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
        f"  upstream old {{ server 127.0.0.1:{old}; keepalive 64; keepalive_requests 1000000000; }}\n"
        f"  upstream new {{ server unix:{new}; keepalive 64; keepalive_requests 1000000000; }}\n"
        f"  server {{ listen 127.0.0.1:{port};\n"
        "    location / { proxy_pass http://old; }\n    location /courses { proxy_pass http://new; } }"
    )


def nginx_switch(port: int, sides: dict[str, Path], side: str) -> str:
    """nginx before the two sides of one site: a move is another file and a reload."""
    return (
        "  access_log off; keepalive_requests 1000000000;\n"
        "  proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host;\n"
        f"  upstream site {{ server unix:{sides[side]}; keepalive 16; }}\n"
        f"  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://site; proxy_hide_header x-banyan-side;"
        f" add_header x-banyan-side {side}; }} }}"
    )


def plain_envoy(port: int, old: int, new: Path) -> dict[str, Any]:
    """Envoy with two routes and nothing else."""
    manager = {
        "@type": f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "plain",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": "/courses"}, "route": {"cluster": "new"}},
                        {"match": {"prefix": "/"}, "route": {"cluster": "old"}},
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{_EXTENSIONS}.http.router.v3.Router"},
            }
        ],
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "front",
                    "address": _tcp(port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [_cluster("old", _tcp(old)), _cluster("new", {"pipe": {"path": str(new)}})],
        }
    }


def _tcp(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, address: dict[str, Any]) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
