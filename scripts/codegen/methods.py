"""Rewrites the methods of the Python client: short, documented, on our own base client.

ariadne-codegen's methods contain each document, accept any keyword and return raw answers. Here the
documents move to a module of their own, the arguments are only those of the operation, and a second
class has the same methods for code that is not asynchronous.
"""

from __future__ import annotations

import ast
import sys
from textwrap import dedent, fill
from typing import Any, cast

from graphql import GraphQLObjectType, OperationDefinitionNode, build_schema, parse

INDENT = " " * 8
WIDTH = 80
CLIENT = "FlowflareClient"
CLIENT_DOC = "All operations of Flowflare's API, typed; use it as an async context manager."
SYNC_CLIENT = "SyncFlowflareClient"
SYNC_CLIENT_DOC = "FlowflareClient for code that is not asynchronous; use it as a context manager."


def async_client(source: str, schema: str) -> tuple[str, str]:
    """The modules `operations` and `client`, from ariadne-codegen's `client`."""
    module = ast.parse(source)
    descriptions = root_descriptions(schema)
    documents: list[str] = []
    body: list[ast.stmt] = []
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module == "base":
            body.append(ast.ImportFrom("contextlib", [ast.alias("aclosing")], level=0))
            body.append(ast.ImportFrom("base", [ast.alias("BaseClient")], level=2))
            body.append(ast.ImportFrom(None, [ast.alias("operations")], level=1))
        elif isinstance(node, ast.ClassDef):
            methods = [cast("ast.AsyncFunctionDef", method) for method in node.body]
            node.body = [ast.Expr(ast.Constant(CLIENT_DOC))]
            for method in methods:
                documents.append(extract_document(method, descriptions))
                node.body.append(method)
            body.append(node)
        elif not isinstance(node, ast.FunctionDef):  # drops its function `gql`
            body.append(node)
    module.body = body
    docs = '"""The operations\' documents, as they are sent."""\n\n'
    return docs + "\n".join(documents), unparse(module).replace("AsyncIterator", "AsyncGenerator")


def extract_document(method: ast.AsyncFunctionDef, descriptions: dict[str, str]) -> str:
    """Rewrite one method in place; return the line of `operations` with its document."""
    load, query, variables, *rest = method.body
    assert isinstance(query, ast.Assign)
    assert isinstance(query.value, ast.Call)
    text = dedent(ast.literal_eval(query.value.args[0])).strip() + "\n"
    constant = method.name.upper()
    name, description = describe(text, descriptions)
    method.args.kwarg = None
    arguments = f"operations.{constant}, variables, operation_name={name!r}"
    last = rest[-1]
    if isinstance(last, ast.AsyncFor):
        [result] = last.body
        assert isinstance(result, ast.Expr)
        assert isinstance(result.value, ast.Yield)
        value = result.value.value
        method.returns = generator(method.returns, "AsyncGenerator", 1)
        code = (
            f"async with aclosing(self.subscribe({arguments})) as results:\n"
            f"    async for data in results:\n        yield {parsed(value)}"
        )
    else:
        assert isinstance(last, ast.Return)
        code = f"data = await self.execute({arguments})\nreturn {parsed(last.value)}"
    docstring = ast.Expr(ast.Constant(description))
    method.body = [docstring, load, variables, *ast.parse(code).body]
    return f'{constant} = """\\\n{text}"""\n'


def parsed(value: ast.expr | None) -> str:
    """`Model.model_validate(data).field` as `self.parse(Model, data).field`."""
    assert isinstance(value, ast.Attribute)
    assert isinstance(value.value, ast.Call)
    validate = value.value.func
    assert isinstance(validate, ast.Attribute)
    return f"self.parse({ast.unparse(validate.value)}, data).{value.attr}"


def root_descriptions(schema: str) -> dict[str, str]:
    """`mutation.startWorkflow` and the like, with the descriptions of those fields."""
    built = build_schema(schema)
    roots = {
        "query": built.query_type,
        "mutation": built.mutation_type,
        "subscription": built.subscription_type,
    }
    return {
        f"{operation}.{name}": field.description or ""
        for operation, root in roots.items()
        if isinstance(root, GraphQLObjectType)
        for name, field in root.fields.items()
    }


def describe(document: str, descriptions: dict[str, str]) -> tuple[str, str]:
    """The operation's name and the description of its root field."""
    operation = parse(document).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    [field] = operation.selection_set.selections
    name = field.to_dict()["name"]["value"]
    text = descriptions[f"{operation.operation.value}.{name}"].rstrip(".") + "."
    return operation.name.value, fill(text, WIDTH).replace("\n", f"\n{INDENT}")


def sync_client(source: str) -> str:
    """The module `sync_client`: each method runs the asynchronous one."""
    module = ast.parse(source)
    body: list[ast.stmt] = []
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module == "base":
            body.append(ast.ImportFrom("sync", [ast.alias("SyncBaseClient")], level=2))
            body.append(ast.ImportFrom("client", [ast.alias(CLIENT)], level=1))
        elif isinstance(node, ast.ImportFrom) and node.module in (None, "contextlib"):
            continue
        elif isinstance(node, ast.ClassDef):
            node.name = SYNC_CLIENT
            methods = [sync_method(cast("ast.AsyncFunctionDef", m)) for m in node.body[1:]]
            factory = ast.parse(f"client_class = {CLIENT}").body
            node.bases = [ast.parse(f"SyncBaseClient[{CLIENT}]", mode="eval").body]
            node.body = [ast.Expr(ast.Constant(SYNC_CLIENT_DOC)), *factory, *methods]
            body.append(node)
        else:
            body.append(node)
    module.body = body
    return unparse(module).replace("AsyncGenerator", "Generator")


def sync_method(method: ast.AsyncFunctionDef) -> ast.FunctionDef:
    """A method with the same signature that runs the asynchronous method of the same name."""
    names = [argument.arg for argument in method.args.args[1:]]
    call = f"self._client.{method.name}({', '.join(f'{name}={name}' for name in names)})"
    streams = isinstance(method.body[-1], ast.AsyncWith)
    if streams:
        method.returns = generator(method.returns, "Generator", 2)
    code = f"return self._{'iterate' if streams else 'run'}({call})"
    # Python 3.12 and newer require the member.
    extra: dict[str, Any] = {"type_params": []} if sys.version_info >= (3, 12) else {}
    return ast.FunctionDef(
        name=method.name,
        args=method.args,
        body=[method.body[0], *ast.parse(code).body],
        decorator_list=[],
        returns=method.returns,
        **extra,
    )


def generator(returns: ast.expr | None, name: str, more: int) -> ast.Subscript:
    """`name[result, None, …]` for a type `AnyIterator[result, …]`: a generator can be closed."""
    assert isinstance(returns, ast.Subscript)
    result = returns.slice.elts[0] if isinstance(returns.slice, ast.Tuple) else returns.slice
    elements = [result, *(ast.Constant(None) for _ in range(more))]
    return ast.Subscript(ast.Name(name), ast.Tuple(elements))


def unparse(module: ast.Module) -> str:
    """Source text; comments are lost."""
    return ast.unparse(ast.fix_missing_locations(module)) + "\n"
