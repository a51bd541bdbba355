"""PHP programs beside WordPress are asked through Banyan exactly as they were asked before."""

import json
from typing import Any

import pytest

from . import exchange
from .exchange import Request
from .front_door import FrontDoor
from .wordpress import WordPress

pytestmark = pytest.mark.xdist_group("wordpress")

PAGE = "/what-php-sees.php"
PLAIN = {"User-Agent": "journey/1", "Accept-Language": "ko;q=0.9", "Cookie": "a=1; banyan=tree; b=%22x%22"}
FORGED = {
    "X-Banyan-User": "root",
    "x_banyan_roles": "admin",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "https",
}

REQUESTS = [
    Request(PAGE, headers=PLAIN),
    Request(f"{PAGE}?q=%EA%B0%95%EC%9D%98&q=%2F..%2f&x=a+b&&=;", headers=PLAIN),
    Request("//what-php-sees.php", headers=PLAIN),
    Request("/wp-content/../what-php-sees.php", headers=PLAIN),
    Request("/what%2Dphp%2dsees.php", headers=PLAIN),
    Request(PAGE, method="POST", headers={**PLAIN, "Content-Type": "text/plain"}, body=bytes(range(256)) * 9),
    Request(PAGE, method="DELETE", headers=PLAIN),
    Request(PAGE, headers={**PLAIN, "Authorization": "Basic b3BlcmF0b3I6eA==", "X-Requested-With": "XMLHttpRequest"}),
]

# Of one connection or moment, on nginx's side of it.
OF_THE_MOMENT = {"REMOTE_PORT", "REQUEST_TIME", "REQUEST_TIME_FLOAT"}
# What a proxy says about itself; the values are asserted apart.
OF_A_PROXY = {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REQUEST_ID"}


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request.method} {request.path}")
def test_php_sees_the_same_request(old_site: WordPress, door: FrontDoor, request_: Request) -> None:
    direct = _seen(request_, ("127.0.0.1", old_site.port), door)
    through = _seen(request_, door.address, door)

    assert through["server"]["HTTP_HOST"] == door.host
    assert _without(through, OF_THE_MOMENT | OF_A_PROXY) == _without(direct, OF_THE_MOMENT)


def test_php_learns_who_asked_whom_and_how(door: FrontDoor) -> None:
    server = _seen(Request(PAGE, headers=PLAIN), door.address, door)["server"]

    assert server["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert server["HTTP_X_FORWARDED_HOST"] == door.host
    assert server["HTTP_X_FORWARDED_PROTO"] == "http"


def test_php_is_told_nothing_that_a_visitor_made_up(door: FrontDoor) -> None:
    honest = _seen(Request(PAGE, headers=PLAIN), door.address, door)
    forged = _seen(Request(PAGE, headers={**PLAIN, **FORGED}), door.address, door)

    assert _without(forged, OF_THE_MOMENT | {"HTTP_X_REQUEST_ID"}) == _without(
        honest, OF_THE_MOMENT | {"HTTP_X_REQUEST_ID"}
    )


def test_php_does_not_see_banyans_own_cookies(door: FrontDoor) -> None:
    cookie = {"Cookie": "a=1; banyan_locale=ko; wordpress_test_cookie=WP%20Cookie%20check"}

    seen = _seen(Request(PAGE, headers=cookie), door.address, door)
    assert seen["cookies"] == {"a": "1", "wordpress_test_cookie": "WP Cookie check"}
    assert seen["server"]["HTTP_COOKIE"] == "a=1; wordpress_test_cookie=WP%20Cookie%20check"


def _seen(request: Request, to: tuple[str, int], door: FrontDoor) -> Any:
    answer = exchange.send(request, to=to, host=door.host)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def _without(seen: Any, names: set[str]) -> Any:
    return {**seen, "server": {name: value for name, value in seen["server"].items() if name not in names}}
