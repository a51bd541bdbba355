"""TLS on either side, names instead of addresses, the private listener, and a stop that cuts nobody off."""

import asyncio
import json
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from banyan.infra.settings import SettingError
from tests.gateway.envoy.certificates import Authority, authority
from tests.gateway.envoy.fronts import Answer, Front, exchange, front, read_answer
from tests.gateway.envoy.upstreams import OK, Upstream, listening, polite, speaking

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(slots=True)
class SecureSite:
    """An old site with TLS; `names` are the ones that clients asked for in their hello."""

    port: int
    upstream: Upstream
    names: list[str | None] = field(default_factory=list)


async def test_an_https_old_site_is_asked_by_its_name_and_verified(tmp_path: Path) -> None:
    known = authority(tmp_path)
    async with secure(known, "localhost") as site, https(site, known, "localhost") as door:
        answer = await door.get("/x")

    assert (answer.status, answer.side, answer.body) == (200, "old", b"secure")
    assert site.names == ["localhost"]
    assert site.upstream.last.value(b"host") == b"school.test"
    assert site.upstream.last.value(b"x-forwarded-proto") == b"http"


async def test_an_https_old_site_may_be_an_address(tmp_path: Path) -> None:
    known = authority(tmp_path)
    async with secure(known, "127.0.0.1") as site, https(site, known, "127.0.0.1") as door:
        answer = await door.get("/x")

    assert (answer.status, answer.side) == (200, "old")


async def test_an_address_with_a_host_name_is_verified_by_that_name(tmp_path: Path) -> None:
    known = authority(tmp_path)
    async with (
        secure(known, "www.school.test") as site,
        https(site, known, "127.0.0.1", BANYAN_LEGACY_HOST="www.school.test") as door,
    ):
        answer = await door.get("/x")

    assert (answer.status, site.names) == (200, ["www.school.test"])
    assert site.upstream.last.value(b"host") == b"www.school.test"


@pytest.mark.parametrize("fault", ["another authority", "another name"])
async def test_an_old_site_that_is_not_who_it_says_gets_nothing(tmp_path: Path, fault: str) -> None:
    known = authority(tmp_path)
    (tmp_path / "other").mkdir()
    signer = authority(tmp_path / "other") if fault == "another authority" else known
    name = "evil.test" if fault == "another name" else "localhost"
    async with secure(signer, name) as site, https(site, known, "localhost") as door:
        answer = await door.get("/x", "Cookie: PHPSESSID=secret")

    assert (answer.status, answer.side) == (502, "gateway")
    assert site.upstream.requests == []


async def test_localhost_is_found_on_whichever_address_it_listens() -> None:
    old = Upstream("v4", polite)
    async with listening(old) as port, front(legacy=f"http://localhost:{port}") as door:
        answers = [await door.get("/x") for _ in range(3)]

    assert {(answer.status, answer.body) for answer in answers} == {(200, b"v4")}


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "::"])
async def test_the_front_door_opens_where_it_is_told(host: str) -> None:
    async with front(BANYAN_HOST=host) as door:
        reader, writer = await door.connect()
        answer = await exchange(reader, writer, b"GET /x HTTP/1.1\r\nHost: s\r\n\r\n")

    assert answer.status == 200
    assert door.old.last.value(b"x-forwarded-for") == b"127.0.0.1"


async def test_a_missing_file_is_named_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="BANYAN_LEGACY_CA"):
        async with front(legacy="https://localhost:1", BANYAN_LEGACY_CA=str(tmp_path / "none.pem")):
            pass
    with pytest.raises(SettingError, match="BANYAN_TLS_CERT"):
        async with front(BANYAN_TLS_CERT=str(tmp_path / "none"), BANYAN_TLS_KEY=str(tmp_path / "none")):
            pass


async def test_the_front_door_speaks_tls_and_says_so_to_the_old_site(tmp_path: Path) -> None:
    known = authority(tmp_path)
    certificate, key = known.issue("www.school.test")
    async with front(BANYAN_TLS_CERT=str(certificate), BANYAN_TLS_KEY=str(key)) as door:
        context = ssl.create_default_context(cafile=str(known.path))
        context.set_alpn_protocols(["http/1.1"])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", door.settings.port, ssl=context, server_hostname="www.school.test"
        )
        answer = await exchange(reader, writer, b"GET /x HTTP/1.1\r\nHost: www.school.test\r\n\r\n")
        context.set_alpn_protocols(["h2", "http/1.1"])
        _, other = await asyncio.open_connection(
            "127.0.0.1", door.settings.port, ssl=context, server_hostname="www.school.test"
        )
        chosen = other.get_extra_info("ssl_object").selected_alpn_protocol()
        other.close()

    assert (answer.status, answer.side) == (200, "old")
    assert door.old.last.value(b"x-forwarded-proto") == b"https"
    assert chosen == "h2"


async def test_services_call_each_other_by_name_on_an_owner_only_socket(door: Front) -> None:
    answer = await private(
        door,
        "learning",
        "GET /api/v1/courses?limit=1 HTTP/1.1",
        "X-Request-ID: from-the-page",
        "Authorization: Bearer theirs",
        *("X-Banyan-User: forged", "x_banyan_roles: forged"),
    )

    received = door.upstreams["learning"].last
    assert (answer.status, answer.body) == (200, b"learning")
    assert received.path == b"/api/v1/courses?limit=1"
    assert received.value(b"x-request-id") == b"from-the-page"
    assert received.value(b"authorization") == b"Bearer theirs"
    assert b"forged" not in received.head


@pytest.mark.parametrize("name", ["envoy-admin", "internal"])
async def test_private_sockets_are_the_owners_only(door: Front, name: str) -> None:
    found = os.stat(door.settings.socket(name))

    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600


async def test_an_unknown_or_broken_service_is_a_problem_document(door: Front) -> None:
    async def hang_up(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)

    unknown = await private(door, "nobody", "GET / HTTP/1.1", "Accept: text/html")
    with speaking(door.upstreams["learning"], hang_up):
        broken = await private(door, "learning", "GET / HTTP/1.1")

    assert (unknown.status, json.loads(unknown.body)["type"]) == (404, "/_banyan/problems/not-found")
    assert (broken.status, json.loads(broken.body)["type"]) == (502, "/_banyan/problems/bad-gateway")


async def test_a_request_in_flight_ends_well_while_envoy_is_drained() -> None:
    async def slow(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        await asyncio.sleep(0.6)
        writer.write(OK % (4, b"late"))
        await writer.drain()

    async with front(BANYAN_DRAIN_SECONDS="1") as door:
        with speaking(door.old, slow):
            asking = asyncio.create_task(door.get("/report"))
            await asyncio.sleep(0.2)
            assert await door.plane.admin.active_requests() == 1
            await door.plane.admin.drain()
            answer = await asking
            left = await door.plane.admin.active_requests()
            await door.stop()

    assert (answer.status, answer.body) == (200, b"late")
    assert answer.value("connection") == "close"
    assert left == 0


async def test_a_log_that_was_moved_away_is_opened_anew() -> None:
    async with front() as door:
        log = door.settings.logs / "access.log"
        await door.get("/before")
        log.rename(log.with_name("access.log.1"))
        await door.plane.admin.reopen_logs()
        await door.get("/after")
        await door.stop()

        assert [json.loads(line)["path"] for line in log.read_text().splitlines()][-1] == "/after"


async def private(door: Front, service: str, line: str, *headers: str) -> Answer:
    reader, writer = await asyncio.open_unix_connection(door.settings.socket("internal"))
    writer.write("\r\n".join([line, f"Host: {service}", *headers, "", ""]).encode())
    answer = await read_answer(reader)
    writer.close()
    return answer


@asynccontextmanager
async def secure(signer: Authority, name: str) -> AsyncIterator[SecureSite]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*signer.issue(name))
    upstream = Upstream("secure", polite)
    listener = socket.create_server(("127.0.0.1", 0))
    site = SecureSite(listener.getsockname()[1], upstream)

    def note(_: ssl.SSLObject | ssl.SSLSocket, asked: str | None, __: ssl.SSLContext) -> None:
        site.names.append(asked)

    context.sni_callback = note
    server = await asyncio.start_server(upstream.accept, sock=listener, ssl=context)
    try:
        yield site
    finally:
        server.close()
        await upstream.hang_up()
        await server.wait_closed()


@asynccontextmanager
async def https(site: SecureSite, known: Authority, name: str, **variables: str) -> AsyncIterator[Front]:
    url = f"https://{name}:{site.port}"
    async with front(legacy=url, BANYAN_LEGACY_CA=str(known.path), **variables) as door:
        yield door
