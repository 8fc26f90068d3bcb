"""Operations on their way: the document as it stands, its variables as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gql import GraphQLRequest
from graphql import DocumentNode
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from flowflare.client.generated.base_model import UnsetType
from flowflare.client.scalars import serialize_datetime, serialize_duration

NOT_PARSED = DocumentNode()


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
    """Variables as JSON holds them; those that are not set are left out."""
    return {
        name: _jsonable(value)
        for name, value in (variables or {}).items()
        if not isinstance(value, UnsetType)
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        # What was not given is not sent: null would mean something else.
        return _jsonable(value.model_dump(by_alias=True, exclude_unset=True))
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, datetime):
        return serialize_datetime(value)
    if isinstance(value, timedelta):
        return serialize_duration(value)
    return to_jsonable_python(value)
