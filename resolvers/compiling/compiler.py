"""Compiles a root field, with all that is selected below it, into one SELECT.

The Expressions of the fields (see `fields.py`) make the SQL; a StatementBuilder numbers the
parameters and counts the objects.

Example:

    { instance(instanceId: "i-1", workflow: "order") { status } }

becomes

    SELECT iif(octet_length(body)<=?3,body,octet_length(body)) AS body
    FROM (SELECT coalesce((SELECT …
        FROM instances t1 WHERE t1.instance_id=?1 AND t1.workflow=?2)),'null') AS body LIMIT 1)
    LIMIT 1
"""

from graphql import GraphQLObjectType
from graphql.execution.collect_fields import FieldDetails

from resolvers.compiling.binding import Binding
from resolvers.compiling.compiled import Compiled
from resolvers.compiling.fields import field_sql
from resolvers.compiling.statement_builder import Document, StatementBuilder


def compile_root_field(
    document: Document,
    sample: Binding,
    root: GraphQLObjectType,
    details: list[FieldDetails],
    *,
    key: str,
) -> Compiled:
    """Compile a root field with the response key `key` for all requests of the sample's shape.

    Raises ArgumentError if the arguments' shape is wrong, RequestError if the statement is too
    large for D1.
    """
    builder = StatementBuilder(document, sample)
    return builder.select(field_sql(builder, root, details, alias="", path=(key,)))
