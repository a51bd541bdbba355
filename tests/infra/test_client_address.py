"""Who asks, when proxies stand before the gateway."""

import pytest
from fastapi import Request

from banyan.infra import http


@pytest.mark.parametrize(
    ("lines", "hops", "address"),
    [
        ([], 0, ""),
        (["198.51.100.66"], 0, "198.51.100.66"),
        (["1.1.1.1, 198.51.100.66"], 0, "198.51.100.66"),
        (["1.1.1.1", "198.51.100.66"], 0, "198.51.100.66"),
        (["1.1.1.1, 198.51.100.66, 10.0.0.1"], 1, "198.51.100.66"),
        (["198.51.100.66, 10.0.0.2, 10.0.0.1"], 2, "198.51.100.66"),
        (["10.0.0.1"], 2, "10.0.0.1"),
    ],
)
def test_only_what_trusted_proxies_say_of_a_visitor_counts(lines: list[str], hops: int, address: str) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]

    assert http.client_address(Request({"type": "http", "headers": headers}), trusted_hops=hops) == address
