"""A Worker that only imports packages; its memory becomes the snapshot.

It runs in workerd. Modules imported here take no time when a server starts. pydantic imports its
parts only when they are used, so they are listed one by one.
"""

import asyncio
import base64
import binascii
import collections
import contextlib
import dataclasses
import datetime
import enum
import functools
import hashlib
import hmac
import itertools
import json
import logging
import re
import time
import traceback
import typing
import urllib.parse
import uuid

import graphql
import pydantic
import pydantic.alias_generators
import pydantic.annotated_handlers
import pydantic.fields
import pydantic.functional_validators
import pydantic.json_schema
import pydantic.main
import pydantic.type_adapter
import pydantic.types
import strawberry
import strawberry.federation.schema_directives
import strawberry.schema
import strawberry.schema.config
import strawberry.schema_directives
import strawberry.types.arguments
import workers
from workers import Response


async def on_fetch(_request: object, _env: object, _ctx: object) -> Response:
    """Respond, which shows that everything is imported."""
    return Response("warm")
