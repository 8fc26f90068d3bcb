"""Builds one statement: its parameters, table aliases, and the count of its objects."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from graphql import GraphQLObjectType, GraphQLSchema, OperationDefinitionNode
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues

from resolvers.base.errors import RequestError
from resolvers.base.limits import D1_MAX_PARAMETERS, D1_MAX_SQL_BYTES
from resolvers.compiling.binding import Binding, Reader
from resolvers.compiling.compiled import Compiled

# Literals in a statement are names of this code and of the selection, and none contains a `?`.
_PARAMETER = re.compile(r"\?(\d+)")

# SQL that fails like a text that is longer than D1 can store.
_TOO_BIG = "zeroblob(2000000000)"


@dataclass(frozen=True, slots=True)
class Document:
    """The operation that a selection belongs to, with its fragments and schema.

    `bound_workflows` is a JSON array of the names that Workflows are bound for.
    """

    schema: GraphQLSchema
    fragments: dict[str, FragmentDetails]
    operation: OperationDefinitionNode
    bound_workflows: str

    def subfields(
        self, type_: GraphQLObjectType, selection: list[FieldDetails], variables: VariableValues
    ) -> dict[str, list[FieldDetails]]:
        """Group the fields that are selected on a type by their response keys."""
        return collect_subfields(
            self.schema, self.fragments, variables, self.operation, type_, selection
        ).grouped_field_set


class StatementBuilder:
    """Builds one statement. `sample` is the first of the requests that share it."""

    def __init__(self, document: Document, sample: Binding) -> None:
        self.document = document
        self.sample = sample
        self._readers: list[Reader] = []
        self._numbers: dict[object, str] = {}
        self._aliases = 0
        self._sizes: list[Reader] = []
        self._nodes: list[tuple[Reader, ...]] = []

    def select(self, expression: str) -> Compiled:
        """Finish the statement of a read.

        It returns only the size of a text that is longer than `Binding.max_bytes`. Raises
        RequestError if D1 does not accept the statement.
        """
        return self._bounded(f"SELECT {expression} AS body", "octet_length(body)")

    def select_written(self, expression: str, source: str) -> Compiled:
        """Finish the statement of a payload.

        It fails if the text is too long, which also rolls back the write in its batch.
        """
        return self._bounded(f"SELECT {expression} AS body FROM {source}", _TOO_BIG)

    def _bounded(self, inner: str, otherwise: str) -> Compiled:
        limit = self.parameter(lambda binding: binding.max_bytes)
        # Both LIMITs are needed for SQLite to compute the text only once, although it occurs twice.
        text, readers, checks = self._number_used(
            f"SELECT iif(octet_length(body)<={limit},body,{otherwise}) AS body"
            f" FROM ({inner} LIMIT 1) LIMIT 1"
        )
        for size, most, name, unit in (
            (len(text), D1_MAX_SQL_BYTES, "D1_MAX_SQL_BYTES", "bytes of SQL"),
            (len(readers), D1_MAX_PARAMETERS, "D1_MAX_PARAMETERS", "parameters"),
        ):
            if size > most:
                raise RequestError(
                    f"A root field needs {size} {unit}; the limit is {most} ({name})."
                    " Select less in one operation.",
                    code="OPERATION_TOO_LARGE",
                    extensions={"limit": name},
                )
        return Compiled(text, readers, tuple(self._nodes), checks)

    def _number_used(self, text: str) -> tuple[str, tuple[Reader, ...], tuple[Reader, ...]]:
        """Number the parameters that the text uses from 1; return it, their readers and the others.

        A selection may not need an argument (`first`, if only totalCount is selected). It must not
        be bound then, but its bounds are checked.
        """
        used = sorted({int(number) for number in _PARAMETER.findall(text)})
        numbers = {old: new for new, old in enumerate(used, 1)}
        return (
            _PARAMETER.sub(lambda match: f"?{numbers[int(match[1])]}", text),
            tuple(self._readers[number - 1] for number in used),
            tuple(r for number, r in enumerate(self._readers, 1) if number not in numbers),
        )

    def parameter(self, read: Reader, key: object = None) -> str:
        """Return a parameter (`?1`) that binds what `read` returns; one `key` is one parameter."""
        if key is not None and key in self._numbers:
            return self._numbers[key]
        self._readers.append(read)
        number = f"?{len(self._readers)}"
        if key is not None:
            self._numbers[key] = number
        return number

    def alias(self) -> str:
        """Return a table alias that is not used in this statement yet."""
        self._aliases += 1
        return f"t{self._aliases}"

    def count_object(self) -> None:
        """Count one object of the selection, times the sizes of the lists around it."""
        self._nodes.append(tuple(self._sizes))

    @contextmanager
    def repeated(self, size: Reader) -> Iterator[None]:
        """Count the objects that are compiled inside `size` times."""
        self._sizes.append(size)
        try:
            yield
        finally:
            self._sizes.pop()
