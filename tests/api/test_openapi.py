"""The OpenAPI document: true to the routes and the structs, and held against the running server by schemathesis."""

import asyncio
import collections
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from hub.api.app import Served, build
from hub.api.bodies import NDJSON
from hub.api.openapi import document
from hub.api.settings import ApiSettings
from hub.api.written import SCHEMAS
from hub.store.keys import SCOPES
from schemas.intake import InvalidRequest, request_from
from tests.api.world import Client, Hub

DOCUMENT = document()
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every example with the schema it is an example of."""
    for method, path, operation in operations():
        contents = {"request": operation.get("requestBody", {}).get("content", {})}
        contents |= {status: response.get("content", {}) for status, response in operation["responses"].items()}
        for place, content in contents.items():
            for media, body in content.items():
                for name, example in body.get("examples", {}).items():
                    yield f"{method} {path} {place} {media} {name}", body["schema"], example["value"]


EXAMPLES = list(examples())


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    resource = Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("openapi", resource)
    rooted = json.loads(json.dumps(schema).replace('"#/components', '"openapi#/components'))
    return Draft202012Validator(rooted, registry=registry)


def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"] == "3.1.0"


def test_it_is_the_same_each_time() -> None:
    assert json.dumps(document()) == json.dumps(DOCUMENT)


async def test_routes_and_paths_are_the_same(idle_hub: Hub) -> None:
    app = build(idle_hub.store, idle_hub.producer, idle_hub.kafka, idle_hub.rules, ApiSettings())
    routed = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method.lower() in METHODS
    }
    assert routed == {(method, path) for method, path, _ in operations()}


async def test_it_is_served(anyone: Client) -> None:
    answer = await anyone.get("/openapi.json")
    assert answer.body == DOCUMENT


def test_everything_is_described() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for _, _, operation in operations():
        assert operation["summary"]
        assert operation["responses"]["500"]["content"]["application/problem+json"]
        for response in operation["responses"].values():
            assert response["description"]
        for parameter in operation.get("parameters", ()):
            assert parameter["description"]


def test_every_scope_is_one_that_keys_have() -> None:
    asked = {
        word.strip("`")
        for _, _, operation in operations()
        for word in operation.get("description", "").split()
        if ":" in word.strip("`") and word.startswith("`") and word.endswith("`")
    }
    assert asked == set(SCOPES) - {"admin"}


@pytest.mark.parametrize(("schema", "example"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES])
def test_an_example_is_an_example_of_its_schema(schema: dict[str, Any], example: Any) -> None:
    validator(schema).validate(example)


@pytest.mark.parametrize(
    "name", [name for name, _, _ in EXAMPLES if "request application/json" in name and "/approve" not in name]
)
def test_an_example_of_a_document_can_be_read(name: str) -> None:
    example = next(value for label, _, value in EXAMPLES if label == name)
    if "lines" in example:
        request_from(example)


def test_what_the_schema_of_a_document_refuses_is_refused() -> None:
    """Wrong types in every field of the written form: the schema and the reader agree."""
    good: dict[str, Any] = {"source_id": "S", "kind": "quote", "date": "1403/01/01", "account": "1", "lines": []}
    check = validator({"$ref": "#/components/schemas/DocumentRequest"})
    check.validate(good)
    for field in SCHEMAS["DocumentRequest"]["properties"]:
        for wrong in ([7], {"a": 1}, True):
            sent = good | {field: wrong}
            assert not check.is_valid(sent), (field, wrong)
            with pytest.raises(InvalidRequest):
                request_from(sent)


# --- schemathesis

SEED = 1403
"""The same requests each time."""


@schemathesis.serializer(NDJSON)
def as_they_are(_context: Any, value: Any) -> bytes:
    """Lines of NDJSON are text to schemathesis."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def configuration(token: str) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": {"Authorization": f"Bearer {token}"},
            "request-timeout": 60,
            "continue-on-failure": True,
            "generation": {"max-examples": 20, "database": "none", "no-shrink": True},
            # What is JSON of the right shape may still make no sense, or miss a document to act on: 4xx is right then.
            "checks": {"positive_data_acceptance": {"enabled": False}},
            "phases": {"stateful": {"enabled": False}},
            "operations": [{"include-path": "/v1/live", "enabled": False}],
        }
    )


def findings(address: str, token: str) -> tuple[list[str], collections.Counter[str]]:
    """What schemathesis finds wrong, and how many requests each operation got."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json", config=configuration(token))
    wrong: dict[str, None] = {}
    asked: collections.Counter[str] = collections.Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong[str(event)] = None
        elif isinstance(event, events.ScenarioFinished):
            asked[str(event.label)] += len(event.recorder.cases)
            for check in (check for checks in event.recorder.checks.values() for check in checks):
                if check.failure_info is not None:
                    found = check.failure_info.failure
                    wrong[f"{event.label}: {found.title}: {found.message}\n{check.failure_info.code_sample}"] = None
    return list(wrong), asked


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of schemathesis, none of ours
async def test_schemathesis_finds_nothing(hub: Hub, api: Served) -> None:
    client = await hub.key(api.address)
    wrong, asked = await asyncio.to_thread(findings, api.address, str(client.token))
    assert not wrong, f"with seed {SEED}:\n\n" + "\n\n".join(wrong)
    # The feed never ends, and the document itself is where schemathesis reads what to ask.
    left_out = {"/v1/live", "/openapi.json"}
    assert set(asked) == {f"{method.upper()} {path}" for method, path, _ in operations() if path not in left_out}
    assert min(asked.values()) > 0
