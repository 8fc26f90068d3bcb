"""Requests: the text of the document, and its variables as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gql import GraphQLRequest
from graphql import DocumentNode
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from flowflare.client.generated.base_model import UnsetType
from flowflare.errors import InvalidVariable
from flowflare.scalars import serialize_datetime, serialize_duration

NOT_PARSED = DocumentNode()
MAX_JSON_DEPTH = 200
"""The service's limit for one JSON value (docs/limits.md)."""
MAX_DEPTH = MAX_JSON_DEPTH + 20
"""Levels of a variable: those of a JSON value, and some for the inputs around it."""
_ATOMS = (str, int, float, bool, type(None))
_SHOWN = 8


class TextRequest(GraphQLRequest):
    """A request that sends the text of its document as it is. gql would parse and print it, which
    costs milliseconds."""

    def __init__(
        self,
        text: str,
        variables: Mapping[str, Any],
        *,
        operation_name: str | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            NOT_PARSED,
            variable_values=dict(variables),
            operation_name=operation_name,
            extensions=extensions,
        )
        self.text = text

    @property
    def payload(self) -> dict[str, Any]:
        """The members of the request's body."""
        payload: dict[str, Any] = {"query": self.text}
        if self.operation_name:
            payload["operationName"] = self.operation_name
        if self.variable_values:
            payload["variables"] = self.variable_values
        if self.extensions:
            payload["extensions"] = self.extensions
        return payload


def jsonable(variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """Variables as JSON values, without those that are not set.

    Raises InvalidVariable for a value that JSON cannot express or that cannot be sent.
    """
    return {
        name: _jsonable(value, [name])
        for name, value in (variables or {}).items()
        if not isinstance(value, UnsetType)
    }


def _jsonable(value: Any, path: list[str | int]) -> Any:
    """One value at its path, which is never longer than MAX_DEPTH."""
    if len(path) > MAX_DEPTH:
        fault = f"is nested too deeply: at most {MAX_JSON_DEPTH} levels (MAX_JSON_DEPTH)"
        raise InvalidVariable(path[:_SHOWN], fault)
    if isinstance(value, BaseModel):
        # Members that were not given are not sent, because null means something else.
        fields = type(value).model_fields
        return {
            name: _jsonable(member, [*path, name])
            for field, member in value
            if field in value.model_fields_set
            for name in (str(fields[field].alias or field),)
        }
    if isinstance(value, Mapping):
        return {
            _text(str(key), path): _jsonable(item, [*path, str(key)]) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_jsonable(item, [*path, at]) for at, item in enumerate(value)]
    if isinstance(value, datetime):
        return serialize_datetime(value)
    if isinstance(value, timedelta):
        return serialize_duration(value)
    if type(value) not in _ATOMS:
        try:
            converted = to_jsonable_python(value)
        except ValueError as error:
            raise InvalidVariable(path, f"cannot be written as JSON: {error}") from error
        if type(converted) is type(value):
            raise InvalidVariable(path, f"cannot be written as JSON: {type(value).__name__}")
        return _jsonable(converted, path)
    if isinstance(value, str):
        return _text(value, path)
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise InvalidVariable(
            path, f"is a number that cannot be written as JSON: {error}"
        ) from error
    return value


def _text(value: str, path: list[str | int]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidVariable(path, f"is not valid Unicode: {error}") from error
    return value
