"""`docs/asyncapi.json` against AsyncAPI's own schema, and against what we subscribe to."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from banyan.messaging import envelope
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.journeys import needs
from tools import asyncapi, event_golden

HERE = Path(__file__).parent / "asyncapi"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    return asyncapi.document(event_golden.files())


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[list[str]]]:
    """Of each document, what AsyncAPI's schema has against it."""
    npm, node = (needs.program(name, "validates AsyncAPI documents") for name in ("npm", "node"))
    folder = tmp_path_factory.mktemp("asyncapi") / "program"
    shutil.copytree(HERE, folder)
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
    subprocess.run(install, cwd=folder, check=True, timeout=240)

    def run(*documents: Document) -> list[list[str]]:
        lines = "\n".join(json.dumps(one) for one in documents)
        command = [node, "validate.cjs"]
        ran = subprocess.run(command, cwd=folder, check=True, timeout=60, input=lines, capture_output=True, text=True)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return run


def test_it_is_an_asyncapi_3_document_and_its_examples_fit_their_schemas(
    document: Document, validated: Callable[..., list[list[str]]]
) -> None:
    undirected, lost, extended = (copy.deepcopy(document) for _ in range(3))
    del undirected["operations"]["iam-tells"]["action"]
    first = lost["components"]["messages"]["banyan.iam.account-erased.v1"]["examples"][0]
    del first["payload"]["data"]["account_id"]
    extended["channels"]["iam-topic"]["bindings"]["sns"]["fifo"] = True

    as_it_is, without_action, without_field, with_more = validated(document, undirected, lost, extended)

    assert as_it_is == []
    assert any("/operations/iam-tells" in fault and "action" in fault for fault in without_action)
    assert without_field == ["banyan.iam.account-erased.v1: /data must have required property 'account_id'"]
    assert any("/channels/iam-topic" in fault for fault in with_more)


def test_every_reference_leads_somewhere(document: Document) -> None:
    references = list(_references(document))

    assert len(references) > 40
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_event_is_told_on_the_topic_of_its_context_and_heard_where_it_is_subscribed(document: Document) -> None:
    operations = document["operations"]
    told = {
        _name(document, one): name
        for name, each in operations.items()
        if each["action"] == "send"
        for one in each["messages"]
    }
    heard = {
        name: {_name(document, one) for one in each["messages"]}
        for name, each in operations.items()
        if each["action"] == "receive"
    }

    assert told == {kind: f"{envelope.source_of(kind)}-tells" for kind in envelope.TYPES}
    assert heard == {f"{one.consumer}-hears": {event.TYPE for event in one.events} for one in SUBSCRIPTIONS}


def test_topics_and_queues_are_named_as_they_are_provisioned(document: Document) -> None:
    channels = document["channels"]
    queue = channels["learning-from-iam-queue"]

    assert channels["iam-topic"]["bindings"]["sns"]["name"] == "banyan-iam.fifo"
    assert queue["address"] == "learning_from_iam"
    assert queue["bindings"]["sqs"]["queue"]["name"] == "banyan-learning-from-iam.fifo"
    assert (
        queue["bindings"]["sqs"]["queue"]["redrivePolicy"]["deadLetterQueue"]["name"]
        == (queue["bindings"]["sqs"]["deadLetterQueue"]["name"])
    )
    for channel in channels.values():
        assert channel["messages"]


def test_personal_data_are_described_as_what_is_on_the_wire(document: Document) -> None:
    registered = document["components"]["schemas"]["AccountRegistered"]["properties"]["pii"]

    assert set(registered["properties"]) == {"person", "sealed"}
    assert set(registered["x-opened"]["properties"]) == {"name", "email"}


def _name(document: Document, reference: dict[str, str]) -> str:
    _, _, channel, _, message = reference["$ref"].split("/")
    return str(document["channels"][channel]["messages"][message]["$ref"].rpartition("/")[2])


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)
