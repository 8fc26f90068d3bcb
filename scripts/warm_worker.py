"""The worker whose memory becomes the warm snapshot: third-party imports, nothing else.

Runs in workerd only. Whatever is imported here costs nothing at start-up.
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
import strawberry
import strawberry.schema
import strawberry.schema.config
import strawberry.types.arguments
import workers
from workers import Response


async def on_fetch(_request: object, _env: object, _ctx: object) -> Response:
    """Answer, which tells the taker that everything is imported."""
    return Response("warm")
