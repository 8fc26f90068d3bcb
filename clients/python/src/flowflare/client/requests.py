"""Operations on their way: the document as it stands, its variables as JSON."""

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
"""Of one JSON value (docs/limits.md)."""
MAX_DEPTH = MAX_JSON_DEPTH + 20
"""Of a variable: a JSON value, and the inputs around it. The service judges what is less."""
_ATOMS = (str, int, float, bool, type(None))
_SHOWN = 8


class TextRequest(GraphQLRequest):
    """A request that sends the text of its document: parsing and printing it costs milliseconds."""

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
        """What is sent."""
        payload: dict[str, Any] = {"query": self.text}
        if self.operation_name:
            payload["operationName"] = self.operation_name
        if self.variable_values:
            payload["variables"] = self.variable_values
        if self.extensions:
            payload["extensions"] = self.extensions
        return payload


def jsonable(variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """Variables as JSON holds them; those that are not set are left out.

    Raises InvalidVariable where JSON has no form for a value, or none that can be sent.
    """
    return {
        name: _jsonable(value, [name])
        for name, value in (variables or {}).items()
        if not isinstance(value, UnsetType)
    }


def _jsonable(value: Any, path: list[str | int]) -> Any:
    """A value on its path; both grow no deeper than the service's own limit allows."""
    if len(path) > MAX_DEPTH:
        fault = f"is nested too deeply: the service takes {MAX_JSON_DEPTH} levels (MAX_JSON_DEPTH)"
        raise InvalidVariable(path[:_SHOWN], fault)
    if isinstance(value, BaseModel):
        # What was not given is not sent: null would mean something else.
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
            raise InvalidVariable(path, f"is no JSON: {error}") from error
        if type(converted) is type(value):
            raise InvalidVariable(path, f"is no JSON: {type(value).__name__}")
        return _jsonable(converted, path)
    if isinstance(value, str):
        return _text(value, path)
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise InvalidVariable(path, f"is a number that JSON does not have: {error}") from error
    return value


def _text(value: str, path: list[str | int]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidVariable(path, f"is not valid Unicode: {error}") from error
    return value
