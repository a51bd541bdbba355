"""The least that each process may do at AWS, as policies for its role there. Nothing here asks AWS."""

from collections.abc import Sequence
from typing import Any

from banyan.messaging.sqs import plan
from banyan.messaging.sqs.client import Account
from banyan.messaging.sqs.names import Names
from banyan.messaging.subscriptions import Subscription

PUBLISHER = "relay"
PROVISIONER = "provisioner"


def policies(names: Names, account: Account, subscriptions: Sequence[Subscription]) -> dict[str, dict[str, Any]]:
    """By who needs it: the relay, each context that hears of something, and whoever provisions."""
    topics = [account.arn("sns", names.topic(source)) for source in plan.sources()]
    queues = {one.queue: account.arn("sqs", names.queue(one.queue)) for one in subscriptions}
    dead = {one.queue: account.arn("sqs", names.dead(one.queue)) for one in subscriptions}
    every = [*queues.values(), *dead.values()]
    made = {
        PUBLISHER: _policy(
            _may(["sns:Publish"], topics),
            _may(["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"], list(queues.values())),
        )
    }
    for role in sorted({one.role for one in subscriptions}):
        own = [arn for one in subscriptions if one.role == role for arn in (queues[one.queue], dead[one.queue])]
        reads = ["ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl", "GetQueueAttributes"]
        made[role] = _policy(_may([f"sqs:{action}" for action in reads], own))
    manages = ["CreateTopic", "GetTopicAttributes", "SetTopicAttributes", "ListSubscriptionsByTopic", "Subscribe"]
    made[PROVISIONER] = _policy(
        _may([f"sns:{action}" for action in manages], topics),
        # Of these AWS knows no narrower resource.
        _may(["sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"], ["*"]),
        _may(["sqs:CreateQueue", "sqs:SetQueueAttributes"], every),
        _may(["sqs:GetQueueUrl", "sqs:GetQueueAttributes"], [*every, *_of_the_other_kind(names, account, queues)]),
    )
    return made


def _of_the_other_kind(names: Names, account: Account, queues: Sequence[str] | dict[str, str]) -> list[str]:
    return [account.arn("sqs", names.of_the_other_kind().queue(queue)) for queue in queues]


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _may(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
