"""`banyan event provision`: topics and queues at AWS."""

import asyncio
from typing import Annotated, Any

import typer

from banyan.cli.event import asking
from banyan.cli.options import Data, Json, clear_errors, settings
from banyan.infra.settings import Settings


def provision(
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    policy: Annotated[bool, typer.Option("--policy", help="Only print the least IAM policy of each role.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make the topics, queues and subscriptions at AWS, as often as you like; and print the IAM policies needed."""
    told = settings(data)
    lines: list[str] = []
    if not policy:
        with clear_errors():
            lines = asyncio.run(_steps(told, plan=plan))
    policies = _policies(told) if policy or not plan else {}
    if as_json:
        print(asking.as_json({"plan": plan, "steps": lines, "policies": policies}))
        return
    for line in lines:
        print(line)
    if not policy and policies:
        print("\nThe least IAM policy of each role:")
    for role, document in policies.items():
        print(f"\n{role}:\n{asking.as_json(document)}")


async def _steps(told: Settings, *, plan: bool) -> list[str]:
    from banyan.messaging.sqs import provisioning

    return await (provisioning.plan(told) if plan else provisioning.provision(told))


def _policies(told: Settings) -> dict[str, dict[str, Any]]:
    from banyan.messaging.sqs import provisioning

    with clear_errors():
        return provisioning.policies(told)
