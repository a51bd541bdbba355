"""Learners as programs: they sign in, keep their cookies and retry like honest clients."""

import http.client
import json
import time
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.journeys.front_door import FrontDoor

PASSWORD = "banyan-demo"


class Learner:
    """One browser's worth of cookies. Every call is one request on a new connection, so that a dead one is no
    excuse."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self.cookies: dict[str, str] = {}

    def sign_in(self, email: str, password: str = PASSWORD) -> int:
        return self.call("POST", "/_banyan/api/v1/session", {"email": email, "password": password})[0]

    def sign_up(self, email: str, name: str, password: str = PASSWORD) -> int:
        body = {"email": email, "password": password, "name": name}
        return self.call("POST", "/_banyan/api/v1/accounts", body)[0]

    def enrol_until_told(self, slug: str, *, patience: float = 120) -> int:
        """Retry until the answer says that it is done; the status of that answer. Everything else may be a fault of
        the moment."""
        deadline = time.monotonic() + patience
        while True:
            try:
                status, answer = self.call("POST", "/_banyan/api/v1/enrolments", {"course": slug})
            except (OSError, http.client.HTTPException):
                status, answer = 0, None
            if status in (200, 201):
                return status
            assert time.monotonic() < deadline, (slug, status, answer)
            assert status == 0 or status >= 500 or status == 429, (slug, status, answer)
            time.sleep(0.2)

    def exchange(self, method: str, path: str, body: object) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and bytes of one request with JSON."""
        sent = {"accept": "application/json", "content-type": "application/json"}
        return self._exchange(method, path, json.dumps(body).encode(), sent)

    def send_form(self, path: str, fields: dict[str, str], **headers: str) -> tuple[int, Any]:
        """A form sent by a page of ours; status and page of the answer."""
        sent = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html", **headers}
        return self._send("POST", path, urlencode(fields).encode(), sent)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded JSON (or text) of one request, as a browser of our own origin would send it."""
        sent = {"accept": "application/json", **headers}
        if body is None:
            return self._send(method, path, None, sent)
        return self._send(method, path, json.dumps(body).encode(), {"content-type": "application/json", **sent})

    def _send(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        status, answered, text = self._exchange(method, path, content, headers)
        return status, _decoded(answered.get("content-type") or "", text)

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(*self._door.address, timeout=20)
        sent = {"origin": self._door.url, **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body=content, headers=sent)
            answer = connection.getresponse()
            text = answer.read()
            self._keep(answer.headers.get_all("set-cookie") or [])
            return answer.status, answer.headers, text
        finally:
            connection.close()

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


def _decoded(kind: str, text: bytes) -> Any:
    if "json" in kind and text:
        return json.loads(text)
    return text.decode("utf-8", "replace")
