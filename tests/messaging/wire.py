"""A wire to SNS and SQS that can be cut: a proxy before the server, with the faults that AWS and networks have.

    async with Wire(server_url) as wire:        # the server of tests/ministack.py
        ... AWS_ENDPOINT_URL = wire.url ...
        await wire.cut()                        # the port is closed and every connection is ended
        await wire.mend()                       # the port is open again, and no fault is left
        wire.faults = Faults(answer_500=0.1, partial=0.2)   # each a probability, for each call, drawn from `seed`
        wire.script = [Faults(hang=1.0)]        # the next calls have these, one each; then `faults` again
        wire.calls                              # (operation, fault or "") of each call, in their order

It lives in this event loop. Processes of their own may use it, as long as this loop runs; a test that blocks its loop
uses `with wire_beside(server_url) as wire:` instead, which runs one in a thread, and `wire.tell(wire.cut())`."""

import asyncio
import json
import random
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web

_ERRORS = {
    "answer_500": (500, "InternalFailure"),
    "throttle": (400, "ThrottlingException"),
    "forbid": (403, "AccessDenied"),
}

_BATCHES = {"PublishBatch", "SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities. At most one fault meets a call, the first of these that its dice choose."""

    hang: float = 0.0  # no answer, until the wire is cut or mended; not even forwarded
    lose_answer: float = 0.0  # done, but the connection ends before the answer
    truncate: float = 0.0  # done, and half of the answer comes
    answer_500: float = 0.0  # not done
    throttle: float = 0.0  # not done
    forbid: float = 0.0  # not done, because the credentials may not
    partial: float = 0.0  # of a batch, the first entry is not done and said to have failed, through no fault of ours
    forget_delete: float = 0.0  # a delete that is said to be done and is not: the event comes again when its loan ends
    twice: float = 0.0  # a batch of events that is done twice, and the second time as if it were another
    slow: float = 0.0  # done and answered, after `slow_seconds`
    slow_seconds: float = 0.5


class Wire:
    def __init__(self, server: str, *, seed: int = 0) -> None:
        self.faults = Faults()
        self.script: list[Faults] = []
        self.calls: list[tuple[str, str]] = []
        self.url = ""
        self._server = server
        self._dice = random.Random(seed)
        self._port = 0
        self._mended = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Wire":
        self._client = aiohttp.ClientSession(
            auto_decompress=False, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(60)
        )
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        assert self._client is not None
        await self._client.close()

    async def cut(self) -> None:
        self._mended.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def mend(self) -> None:
        self.faults = Faults()
        self.script.clear()
        self._mended.set()
        if self._runner is None:
            await self._open()

    def count(self, operation: str) -> int:
        return sum(called == operation for called, _ in self.calls)

    async def _open(self) -> None:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._runner = runner

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = _Call(request, body)
        faults = self.script.pop(0) if self.script else self.faults
        fault = self._draw(faults, call.operation)
        self.calls.append((call.operation, fault))
        if fault == "hang":
            self._mended.clear()
            await self._mended.wait()
            return _end(request)
        if fault in _ERRORS:
            return call.error(*_ERRORS[fault])
        if fault == "forget_delete":
            return call.say_done()
        if fault == "slow":
            await asyncio.sleep(faults.slow_seconds)
        left_out = call.leave_out_first() if fault == "partial" else ""
        status, headers, answer = await self._forward(request, call.body)
        if fault == "twice":
            await self._forward(request, call.as_another(f"{self._dice.random():.12f}"))
        if fault == "lose_answer":
            return _end(request)
        if left_out:
            answer = call.add_failure(answer, left_out)
        if fault == "truncate":
            return await _half(request, status, headers, answer)
        return web.Response(status=status, headers=headers, body=answer)

    def _draw(self, faults: Faults, operation: str) -> str:
        for one in fields(Faults):
            name = one.name
            if name == "slow_seconds" or not self._fits(name, operation):
                continue
            if self._dice.random() < getattr(faults, name):
                return name
        return ""

    @staticmethod
    def _fits(fault: str, operation: str) -> bool:
        if fault == "partial":
            return operation in _BATCHES
        if fault == "forget_delete":
            return operation == "DeleteMessageBatch"
        return fault != "twice" or operation in ("PublishBatch", "SendMessageBatch")

    async def _forward(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("content-length", "connection", "expect", "transfer-encoding")
        }
        assert self._client is not None
        url = self._server + str(request.rel_url)
        async with self._client.request(request.method, url, data=body, headers=headers) as answer:
            kept = {
                name: answer.headers[name] for name in ("Content-Type", "x-amzn-RequestId") if name in answer.headers
            }
            return answer.status, kept, await answer.read()


class _Call:
    """SNS speaks in forms and XML, SQS in JSON."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        target = request.headers.get("X-Amz-Target", "")
        self.json = bool(target)
        self.body = body
        self._form = {} if self.json else dict(parse_qsl(body.decode(), keep_blank_values=True))
        self.operation = target.rpartition(".")[2] or self._form.get("Action", "?")

    def error(self, status: int, code: str) -> web.Response:
        if self.json:
            said = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "made by a test"})
            return web.Response(status=status, text=said, content_type="application/x-amz-json-1.0")
        said = f"<ErrorResponse><Error><Code>{code}</Code><Message>made by a test</Message></Error></ErrorResponse>"
        return web.Response(status=status, text=said, content_type="text/xml")

    def say_done(self) -> web.Response:
        done = [{"Id": entry["Id"]} for entry in json.loads(self.body)["Entries"]]
        said = json.dumps({"Successful": done, "Failed": []})
        return web.Response(text=said, content_type="application/x-amz-json-1.0")

    def leave_out_first(self) -> str:
        """The id of the entry that is not forwarded; empty where it is the only one, because an empty batch is
        another fault."""
        if self.json:
            asked = json.loads(self.body)
            if len(asked["Entries"]) < 2:
                return ""
            gone = asked["Entries"].pop(0)["Id"]
            self.body = json.dumps(asked).encode()
            return str(gone)
        start = "PublishBatchRequestEntries.member."
        if f"{start}2.Id" not in self._form:
            return ""
        gone = self._form[f"{start}1.Id"]
        kept = {}
        for name, value in self._form.items():
            if name.startswith(start):
                number, _, rest = name.removeprefix(start).partition(".")
                if number == "1":
                    continue
                kept[f"{start}{int(number) - 1}.{rest}"] = value
            else:
                kept[name] = value
        self.body = urlencode(kept).encode()
        return gone

    def add_failure(self, answer: bytes, entry: str) -> bytes:
        if self.json:
            said: dict[str, Any] = json.loads(answer)
            failed = {"Id": entry, "Code": "InternalError", "Message": "made by a test", "SenderFault": False}
            said["Failed"] = [*said.get("Failed", []), failed]
            return json.dumps(said).encode()
        member = (
            f"<member><Id>{entry}</Id><Code>InternalError</Code><Message>made by a test</Message>"
            "<SenderFault>false</SenderFault></member>"
        )
        text = answer.decode()
        if "<Failed>" in text:
            return text.replace("<Failed>", f"<Failed>{member}").encode()
        whole = text.replace("<Failed/>", "").replace("</PublishBatchResult>", "{}</PublishBatchResult>")
        return whole.replace("{}</PublishBatchResult>", f"<Failed>{member}</Failed></PublishBatchResult>").encode()

    def as_another(self, mark: str) -> bytes:
        """The same events as if they were told once more, so that no deduplication helps."""
        if self.json:
            asked = json.loads(self.body)
            for entry in asked["Entries"]:
                if "MessageDeduplicationId" in entry:
                    entry["MessageDeduplicationId"] += mark
            return json.dumps(asked).encode()
        again = {
            name: value + (mark if name.endswith(".MessageDeduplicationId") else "")
            for name, value in self._form.items()
        }
        return urlencode(again).encode()


def _end(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, status: int, headers: dict[str, str], body: bytes) -> web.StreamResponse:
    answer = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(body))})
    await answer.prepare(request)
    await answer.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer
