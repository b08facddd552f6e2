"""The client covers the OpenAPI document: every operation, every argument, every field of every answer."""

import inspect
import json
import re
from pathlib import Path

import msgspec
import pytest

import lookalike_client
from lookalike_client import AsyncClient, Client

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: operation for item in DOCUMENT["paths"].values() for operation in item.values()
}
OF_PICTURES = {"files", "ids", "uris", "metadata"}
"""Form fields of ``addPictures``, which the client takes as one list of pictures."""


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def resolved(schema: dict) -> dict:
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    return schema


def referenced(schema, into: set[str]) -> set[str]:
    """Add the names of all schemas that a schema contains."""
    if isinstance(schema, dict):
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and name not in into:
            into.add(name)
            referenced(SCHEMAS[name], into)
        for value in schema.values():
            referenced(value, into)
    elif isinstance(schema, list):
        for value in schema:
            referenced(value, into)
    return into


def answer_schemas() -> list[str]:
    names: set[str] = set()
    for operation in OPERATIONS.values():
        referenced(operation["responses"], names)
    return sorted(name for name in names if "properties" in SCHEMAS[name])


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_each_operation_is_a_method_with_its_arguments(operation_id, client):
    operation = OPERATIONS[operation_id]
    wanted = {parameter["name"] for parameter in operation.get("parameters", [])}
    for body in operation.get("requestBody", {}).get("content", {}).values():
        schema = resolved(body["schema"])
        for choice in schema.get("anyOf", [schema]):
            wanted |= resolved(choice).get("properties", {}).keys()

    arguments = inspect.signature(getattr(client, snake(operation_id))).parameters

    if "if-match" in wanted:
        wanted = wanted - {"if-match"} | {"revision"}
    if operation_id == "addPictures":
        wanted = wanted - OF_PICTURES | {"pictures"}
    assert wanted <= arguments.keys()
    assert inspect.getdoc(getattr(client, snake(operation_id)))


@pytest.mark.parametrize("schema", answer_schemas())
def test_each_field_of_an_answer_is_a_field_of_its_class(schema):
    kind = getattr(lookalike_client, {"ExampleImage": "Example"}.get(schema, schema.removesuffix("Shape")))

    fields = {field.name for field in msgspec.structs.fields(kind)}

    assert SCHEMAS[schema]["properties"].keys() - fields == set()


def test_methods_that_iterate_take_the_arguments_of_the_list():
    assert inspect.signature(Client.iter_pictures) == inspect.signature(Client.list_pictures)
