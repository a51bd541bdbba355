"""How AWS is reached: one pool of connections, every wait bounded, no retries that nobody sees."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from banyan.kit.errors import Forbidden, Refused, Unavailable

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 2.0
_ACCOUNT_SECONDS = 10.0  # once in a process's life
_GONE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NotFound", "NotFoundException"}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}
# Another try may help: it is their trouble, or one that passes, such as a token that is being renewed.
_PASSING = {
    "RequestTimeout",
    "RequestThrottled",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "KMSThrottling",
    "OverLimit",
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "InternalErrorException",
    "ServiceUnavailable",
    "QueueDeletedRecently",
    "AWS.SimpleQueueService.QueueDeletedRecently",
}


class ExtraMissing(Refused):
    """Events over AWS need the extra `aws`: install banyan[aws], or set BANYAN_BROKER=pgmq."""


class NoRegion(Refused):
    """BANYAN_BROKER=sns+sqs needs a region: set AWS_REGION, or one in the profile that AWS_PROFILE names."""


class NoCredentials(Refused):
    """BANYAN_BROKER=sns+sqs needs credentials, and none were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or
    AWS_PROFILE, or run where a role is given to the machine."""


class NotConfigured(Refused):
    """What AWS_* variables or the files of AWS's tools say makes no sense."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__(f"AWS cannot be asked as it is configured here: {fault}")


class AwsAway(Unavailable):
    """AWS does not answer, or asks to come again later."""


class NotThere(Unavailable):
    """A topic or queue is not there (yet)."""


class AwsForbids(Forbidden):
    """The credentials may not do this."""


class AwsRefuses(Refused):
    """AWS says that the request is wrong."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where we are: what the names of topics and queues begin with."""

    partition: str
    region: str
    number: str

    def arn(self, service: str, name: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.number}:{name}"


class Aws:
    """`call` is the only way out. Who we are and where says the usual chain: AWS_*, a profile, the machine's role."""

    def __init__(self, *, connections: int = 16) -> None:
        self._connections = connections
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._account: Account | None = None

    async def check(self) -> None:
        """Raises ExtraMissing, NoRegion, NoCredentials, NotConfigured before anything is sent."""
        session = await self._get_session()
        from botocore.exceptions import BotoCoreError

        try:
            if not _region(session):
                raise NoRegion
            if await session.get_credentials() is None:
                raise NoCredentials
        except BotoCoreError as fault:  # no such profile, half of a key, a file that cannot be read
            raise NotConfigured(fault) from fault

    async def warm(self) -> None:
        """Load what the first question would wait for, without asking anything. Raises as `check` does."""
        await self._open("sqs")

    async def account(self) -> Account:
        if self._account is None:
            # Everybody may ask this, and it spares the publisher the right to look topics up.
            who = await self.call("sts", "get_caller_identity", seconds=_ACCOUNT_SECONDS)
            region = _region(await self._get_session())
            self._account = Account(who["Arn"].split(":")[1], region, who["Account"])
        return self._account

    async def call(self, service: str, operation: str, *, seconds: float = ANSWER_SECONDS, **what: Any) -> Any:
        """Raises AwsAway, NotThere, AwsForbids, AwsRefuses; and as `check` does."""
        import aiohttp
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
        from botocore.parsers import ResponseParserError

        client = self._clients.get(service) or await self._open(service)
        try:
            async with asyncio.timeout(seconds):
                return await getattr(client, operation)(**what)
        except ClientError as fault:
            raise _kind(fault.response)(f"AWS {service} {operation}: {fault}") from fault
        except (NoCredentialsError, PartialCredentialsError) as fault:
            raise NoCredentials from fault
        except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError, TimeoutError) as fault:
            said = str(fault) or f"no answer within {seconds:g} s"
            raise AwsAway(f"AWS {service} {operation}: {said}") from fault

    async def close(self) -> None:
        await self._stack.aclose()
        self._clients.clear()

    async def _open(self, service: str) -> Any:
        async with self._opening:
            if service not in self._clients:
                await self.check()
                from aiobotocore.config import AioConfig
                from botocore.exceptions import BotoCoreError

                session = await self._get_session()
                config = AioConfig(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=30,  # of a long poll; each call has its own, shorter limit
                    max_pool_connections=self._connections,
                    retries={"total_max_attempts": 1},
                    parameter_validation=False,
                )
                made = session.create_client(service, region_name=_region(session), config=config)
                try:
                    self._clients[service] = await self._stack.enter_async_context(made)
                except (BotoCoreError, ValueError) as fault:  # no region's name, no address
                    raise NotConfigured(fault) from fault
        return self._clients[service]

    async def _get_session(self) -> Any:
        if self._session is None:
            # Half a second of work, which the loop need not wait for.
            self._session = await asyncio.to_thread(_session)
        return self._session


def _session() -> Any:
    try:
        from aiobotocore.session import get_session
    except ImportError as fault:
        raise ExtraMissing from fault
    return get_session()


def _region(session: Any) -> str:
    # botocore reads AWS_DEFAULT_REGION only; every newer tool of AWS's reads AWS_REGION.
    return os.environ.get("AWS_REGION") or session.get_config_variable("region") or ""


def passes(code: str) -> bool:
    """Whether another try may do."""
    return code in _PASSING or "hrottl" in code


def _kind(response: Any) -> type[AwsAway | NotThere | AwsForbids | AwsRefuses]:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _GONE:
        return NotThere
    if passes(code) or status >= 500 or status == 429:
        return AwsAway
    return AwsForbids if code in _FORBIDDEN else AwsRefuses
