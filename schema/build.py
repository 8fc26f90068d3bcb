"""The executable schema."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from schema.objects import Reference, Workflow, WorkflowInstance, WorkflowStep
from schema.results import Error
from schema.roots import Mutation, Query, Subscription
from schema.scalars import SCALARS

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Error, Reference, Workflow, WorkflowInstance, WorkflowStep],
    config=StrawberryConfig(scalar_map=SCALARS),
)

core: GraphQLSchema = schema._schema
