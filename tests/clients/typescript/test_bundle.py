"""The bundle of a Worker that imports the package."""

from __future__ import annotations

import subprocess

import pytest

from scripts.project import ROOT, VENV_BIN, tool_environment

BUNDLE = """
import { build } from "esbuild";
const [, , contents, root] = process.argv;
const { outputFiles } = await build({
  stdin: { contents, resolveDir: root, loader: "ts" },
  bundle: true, write: false, format: "esm", target: "es2024", minify: true,
  conditions: ["workerd", "worker", "browser"], mainFields: ["browser", "module", "main"],
  alias: { "@flowflare/client": `${root}/clients/typescript/src` },
  external: ["cloudflare:*"], logLevel: "silent",
});
console.log(outputFiles[0].text);
"""
TRACKING = """
import { trackStep, trackWorkflow, updateWorkflowInstance } from "@flowflare/client";
console.log(trackStep, trackWorkflow, updateWorkflowInstance);
"""
FOLLOWING = """
import { subscribe } from "@flowflare/client/subscriptions";
console.log(subscribe);
"""
PROTOCOL = "graphql-transport-ws"


def bundle(contents: str) -> str:
    """A Worker's code as esbuild puts it together, as wrangler does. Node's own modules fail it."""
    command = [str(VENV_BIN / "node"), "--input-type=module", "-", contents, str(ROOT)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=tool_environment(),
        input=BUNDLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_that_only_tracks_does_not_bundle_graphql_ws() -> None:
    code = bundle(TRACKING)
    assert PROTOCOL not in code
    assert len(code.encode()) < 30_000


def test_a_worker_that_subscribes_bundles_graphql_ws() -> None:
    assert PROTOCOL in bundle(FOLLOWING)


@pytest.mark.parametrize("name", ["documents", "subscriptions", "index"])
def test_nothing_needs_node(name: str) -> None:
    code = bundle(f'import * as all from "@flowflare/client/{name}"; console.log(all);')
    assert "node:" not in code
