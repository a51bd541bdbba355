"""`iam`, as the pages call it: over the private listener, on behalf of a browser."""

from collections.abc import Mapping
from urllib.parse import quote

from banyan.contracts import iam as wire
from banyan.infra.http_client import HttpClient, ServiceRefused

Headers = Mapping[str, str]

_API = "/api/v1"
_NOTHING = type(None)


class IamClient:
    """Answers typed, or with the cookies that the browser is to be given, exactly as they came.

    `headers` are the browser's own (`cookie`, `user-agent`, `x-forwarded-for`); the page has checked that the form
    came from this site. Raises ServiceRefused and ServiceAway.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def sign_up(self, wanted: wire.NewAccount, *, headers: Headers) -> list[str]:
        return await self._cookies("POST", "/accounts", wanted, kind=wire.Me, headers=headers)

    async def sign_in(self, given: wire.Credentials, *, headers: Headers) -> list[str]:
        return await self._cookies("POST", "/session", given, headers=headers)

    async def sign_out(self, *, token: str | None = None, headers: Headers) -> list[str]:
        return await self._cookies("DELETE", "/session", token=token, headers=headers)

    async def me(self, *, token: str) -> wire.Me:
        return await self._http.call("GET", f"{_API}/me", wire.Me, headers=_bearer(token))

    async def rename(self, name: str, *, token: str, headers: Headers) -> list[str]:
        return await self._cookies("PATCH", "/me", wire.Profile(name=name), token=token, headers=headers)

    async def change_password(self, *, old: str, new: str, token: str, headers: Headers) -> list[str]:
        change = wire.PasswordChange(old=old, new=new)
        return await self._cookies("PUT", "/me/password", change, token=token, headers=headers)

    async def erase(self, *, password: str, token: str, headers: Headers) -> list[str]:
        confirmed = wire.Confirmation(password=password)
        return await self._cookies("DELETE", "/me", confirmed, token=token, headers=headers)

    async def sessions(self, *, token: str) -> wire.SessionList:
        return await self._http.call("GET", f"{_API}/sessions", wire.SessionList, headers=_bearer(token))

    async def end_session(self, session_id: str, *, token: str, headers: Headers) -> list[str]:
        return await self._cookies("DELETE", f"/sessions/{_segment(session_id)}", token=token, headers=headers)

    async def end_other_sessions(self, *, token: str, headers: Headers) -> list[str]:
        return await self._cookies("DELETE", "/sessions", token=token, headers=headers)

    async def ask_for_reset(self, email: str, *, headers: Headers) -> None:
        await self._cookies("POST", "/password-resets", wire.ResetRequest(email=email), headers=headers)

    async def reset_works(self, link: str) -> bool:
        try:
            await self._http.call("GET", f"{_API}/password-resets/{_segment(link)}", _NOTHING)
        except ServiceRefused as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    async def reset(self, link: str, password: str, *, headers: Headers) -> None:
        """`link` is the token from the mailed address."""
        wanted = wire.Confirmation(password=password)
        await self._cookies("PUT", f"/password-resets/{_segment(link)}", wanted, headers=headers)

    async def keys(self) -> wire.Keys:
        return await self._http.get("/internal/keys", wire.Keys)

    async def revoked_sessions(self) -> wire.RevokedSessions:
        return await self._http.get("/internal/revoked-sessions", wire.RevokedSessions)

    async def _cookies(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: type[object] = _NOTHING,
        token: str | None = None,
        headers: Headers,
    ) -> list[str]:
        sent = {**headers, "sec-fetch-site": "same-origin", **(_bearer(token) if token else {})}
        answer = await self._http.exchange(method, _API + path, kind, body=body, headers=sent)
        return answer.cookies


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _segment(text: str) -> str:
    """As one part of a path; a text that would mean another place becomes one that nothing has."""
    return quote(text, safe="") if text not in ("", ".", "..") else "none"
