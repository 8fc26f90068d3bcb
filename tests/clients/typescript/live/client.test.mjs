// `WorkflowClient` in Node against a running service: FLOWFLARE_URL, FLOWFLARE_API_KEY.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import {
  AmbiguousError,
  AmbiguousInstanceError,
  ConfigurationError,
  ConflictError,
  EngineUnavailableError,
  IllegalTransitionError,
  InvalidInputError,
  NotFoundError,
  RequestError,
  UnauthenticatedError,
  UnboundWorkflowError,
  UnreachableError,
  WorkflowClient,
  trackStep,
  trackWorkflow,
  updateWorkflowInstance,
  updateWorkflowStep,
} from "../../../../clients/typescript/src/index.ts";
import {
  GetInstanceDocument,
  GetRunsDocument,
  WatchInstanceDocument,
} from "../../../../clients/typescript/src/documents.ts";

const { FLOWFLARE_URL = "", FLOWFLARE_API_KEY = "" } = process.env;
const env = { FLOWFLARE_URL, FLOWFLARE_API_KEY };
const client = new WorkflowClient({ serviceUrl: FLOWFLARE_URL, apiKey: FLOWFLARE_API_KEY });
// Nobody else's instances are in the way.
const workflow = `live-${randomUUID().slice(0, 8)}`;

/**
 * @param {string} id
 * @param {import("../../../../clients/typescript/src/index.ts").InstanceOptions} [options]
 */
async function found(id, options) {
  const { workflow } = await client.getWorkflow(id, options);
  assert.ok(workflow);
  return workflow;
}

/**
 * Start an instance that no engine runs.
 * @param {string} name
 * @param {unknown} [params]
 * @param {import("../../../../clients/typescript/src/index.ts").StartOptions} [options]
 */
const record = (name, params, options) =>
  client.startWorkflow(name, params, null, null, undefined, { trackOnly: true, ...options });

test("a started workflow is found by its id", async () => {
  const started = await client.startWorkflow(
    workflow,
    { items: ["book"] },
    "1001",
    "order",
    { by: "test" },
    { trackOnly: true },
  );
  assert.equal(started.success, true);
  assert.deepEqual([started.status, started.ref_type, started.ref_id], ["Queued", "order", "1001"]);
  const instance = await found(started.workflowId);
  assert.deepEqual(
    [instance.id, instance.name, instance.status],
    [started.workflowId, workflow, "Queued"],
  );
  assert.deepEqual(
    [instance.input_params, instance.metadata],
    [{ items: ["book"] }, { by: "test" }],
  );
  assert.deepEqual(instance.steps, []);
});

test("a start with an id may be repeated", async () => {
  const instanceId = randomUUID();
  const start = (/** @type {object} */ options) =>
    record(workflow, { n: 1 }, { instanceId, ...options });
  assert.equal((await start({})).workflowId, instanceId);
  assert.equal((await start({})).workflowId, instanceId);
  await assert.rejects(start({ onConflict: "FAIL" }), ConflictError);
});

test("an instance that is not tracked is null", async () => {
  assert.deepEqual(await client.getWorkflow("nobody"), { success: true, workflow: null });
});

test("lists are read page by page, and by status", async () => {
  const name = `${workflow}-list`;
  /** @type {string[]} */
  const ids = [];
  for (let n = 0; n < 3; n++) ids.unshift((await record(name)).workflowId);
  await updateWorkflowInstance({ id: ids[0] ?? "", status: "Running" }, env);
  const first = await client.listWorkflows({ workflow: name, limit: 2 });
  assert.deepEqual(
    first.workflows.map(({ id }) => id),
    ids.slice(0, 2),
  );
  assert.equal(first.hasMore, true);
  const second = await client.listWorkflows({ workflow: name, limit: 2, cursor: first.cursor });
  assert.deepEqual(
    second.workflows.map(({ id }) => id),
    ids.slice(2),
  );
  assert.deepEqual([second.hasMore, second.cursor], [false, null]);
  const running = await client.listWorkflows({ workflow: name, status: "Running" });
  assert.deepEqual(
    running.workflows.map(({ id, status }) => [id, status]),
    [[ids[0], "Running"]],
  );
  const both = await client.listWorkflows({ workflow: name, status: ["RUNNING", "Queued"] });
  assert.equal(both.workflows.length, 3);
});

test("workflows are found by their reference", async () => {
  const ref_type = `t-${randomUUID().slice(0, 8)}`;
  const start = (/** @type {string} */ ref_id) =>
    client.startWorkflow(workflow, {}, ref_id, ref_type, undefined, { trackOnly: true });
  const [a, b] = [await start("a"), await start("b")];
  const ids = async (
    /** @type {import("../../../../clients/typescript/src/index.ts").RefOptions} */ options,
  ) => (await client.getWorkflowsByRef(options)).workflows.map(({ id }) => id);
  assert.deepEqual(await ids({ ref_id: "a", ref_type }), [a.workflowId]);
  assert.deepEqual(await ids({ ref_type }), [b.workflowId, a.workflowId]);
  assert.deepEqual(await ids({ ref_id: "a", ref_type, status: "Completed" }), []);
  await assert.rejects(client.getWorkflowsByRef({}), ConfigurationError);
});

test("an instance is reported with the previous names", async () => {
  const id = randomUUID();
  assert.equal(
    await updateWorkflowInstance(
      {
        id,
        workflow_name: workflow,
        status: "Running",
        ref_id: "7",
        ref_type: "user",
        input_params: JSON.stringify({ a: 1 }),
        metadata: { x: 1, y: 2 },
      },
      env,
    ),
    true,
  );
  assert.equal(
    await updateWorkflowStep(
      { workflow_instance_id: id, step_name: "one", status: "Running", step_index: 1 },
      env,
    ),
    true,
  );
  assert.equal(
    await updateWorkflowStep(
      {
        workflow_instance_id: id,
        step_name: "one",
        status: "Completed",
        step_index: 1,
        state: { ok: true },
      },
      env,
    ),
    true,
  );
  assert.equal(
    await updateWorkflowInstance(
      { id, status: "Sleeping", sleep_until: new Date(4e12), metadata: { y: null } },
      env,
    ),
    true,
  );
  const sleeping = await found(id);
  assert.deepEqual(
    [sleeping.status, sleeping.sleep_until],
    ["Sleeping", new Date(4e12).toISOString()],
  );
  assert.deepEqual([sleeping.input_params, sleeping.metadata], [{ a: 1 }, { x: 1 }]);
  assert.equal(
    await updateWorkflowInstance({ id, status: "Errored", error: new RangeError("far") }, env),
    true,
  );
  const errored = await found(id);
  assert.deepEqual(
    [errored.status, errored.error?.name, errored.error?.message],
    ["Errored", "RangeError", "far"],
  );
  assert.deepEqual([errored.ref_type, errored.ref_id], ["user", "7"]);
  assert.deepEqual(
    errored.steps?.map(({ name, status, output }) => [name, status, output]),
    [["one", "COMPLETED", { ok: true }]],
  );
});

test("a refused report returns false, and is logged", async (context) => {
  /** @type {string[]} */
  const lines = [];
  context.mock.method(console, "warn", (/** @type {string} */ line) => lines.push(line));
  assert.equal(await updateWorkflowInstance({ id: "nobody", status: "Running" }, env), false);
  const elsewhere = { ...env, FLOWFLARE_URL: "http://127.0.0.1:9" };
  assert.equal(
    await updateWorkflowInstance(
      { id: "nobody", status: "Running" },
      { ...elsewhere, FLOWFLARE_API_KEY: "secret" },
    ),
    false,
  );
  assert.match(
    lines[0] ?? "",
    /^\[flowflare\] nobody: 1 report\(s\) could not be delivered: NotFoundError: /,
  );
  assert.match(lines[1] ?? "", /UnreachableError/);
  assert.ok(!lines.join().includes("secret"));
  await assert.rejects(
    updateWorkflowInstance({ id: "i", status: "Done" }, env),
    ConfigurationError,
  );
});

test("an action on an unbound workflow is refused with the service's message", async () => {
  const { workflowId } = await record(workflow);
  for (const act of /** @type {const} */ ([
    "pauseWorkflow",
    "terminateWorkflow",
    "restartWorkflow",
  ])) {
    await assert.rejects(
      client[act](workflowId),
      (error) => error instanceof EngineUnavailableError || error instanceof IllegalTransitionError,
    );
  }
  await assert.rejects(client.sendEvent(workflowId, "go", { by: "test" }), EngineUnavailableError);
  await assert.rejects(client.resumeWorkflow("nobody"), NotFoundError);
});

test("an invalid input has the path of the fault", async () => {
  await assert.rejects(client.startWorkflow("x".repeat(65)), (error) => {
    assert.ok(error instanceof InvalidInputError);
    assert.deepEqual(error.path, ["input", "workflow"]);
    return true;
  });
  await assert.rejects(client.listWorkflows({ limit: 101 }), {
    name: "RequestError",
    code: "INVALID_ARGUMENT",
    argument: "first",
  });
  await assert.rejects(client.listWorkflows({ status: "Done" }), ConfigurationError);
  await assert.rejects(client.listWorkflows(/** @type {any} */ ({ offset: 20 })), /cursor/);
  await assert.rejects(client.startWorkflow(workflow, {}, "1001"), ConfigurationError);
});

test("a query is typed, by a generated document or by the caller", async () => {
  const { workflowId } = await record(workflow, { n: 1 });
  const { instance } = await client.query(GetInstanceDocument, { instanceId: workflowId });
  assert.deepEqual([instance?.instanceId, instance?.input], [workflowId, { n: 1 }]);
  const data = await client.query('{ workflow(name: "nobody") { name } }');
  assert.deepEqual(data, { workflow: null });
  await assert.rejects(
    client.query("{ nothing }"),
    (error) => error instanceof RequestError && error.code === "INVALID_DOCUMENT",
  );
});

test("a wrong key and a wrong address have different errors", async () => {
  const stranger = new WorkflowClient({ serviceUrl: FLOWFLARE_URL, apiKey: "wrong" });
  await assert.rejects(stranger.getWorkflow("i"), UnauthenticatedError);
  await assert.rejects(
    new WorkflowClient({ serviceUrl: "http://127.0.0.1:9" }).getWorkflow("i"),
    UnreachableError,
  );
  const elsewhere = new WorkflowClient({ serviceUrl: `${FLOWFLARE_URL}/docs` });
  await assert.rejects(elsewhere.getWorkflow("i"), UnreachableError);
  assert.throws(() => new WorkflowClient({}), ConfigurationError);
});

test("a start that nothing would run is refused, with the names that were meant", async () => {
  await assert.rejects(client.startWorkflow("js-scirpt"), (error) => {
    assert.ok(error instanceof UnboundWorkflowError);
    assert.equal(error.code, "UNBOUND_WORKFLOW");
    assert.equal(error.suggestions[0], "js-script");
    return true;
  });
  await assert.rejects(record("js-script"), InvalidInputError);
});

test("an id that two workflows have needs the workflow", async () => {
  const instanceId = randomUUID();
  const names = [`${workflow}-a`, `${workflow}-b`];
  for (const name of names) await record(name, { name }, { instanceId });
  for (const name of names) {
    const instance = await found(instanceId, { workflow: name });
    assert.deepEqual([instance.name, instance.input_params], [name, { name }]);
  }
  await assert.rejects(client.getWorkflow(instanceId), (error) => {
    assert.ok(error instanceof AmbiguousError && error instanceof RequestError);
    assert.deepEqual([error.code, [...error.workflows].sort()], ["AMBIGUOUS", names]);
    return true;
  });
  const [a = ""] = names;
  for (const act of /** @type {const} */ ([
    "pauseWorkflow",
    "resumeWorkflow",
    "terminateWorkflow",
    "restartWorkflow",
  ])) {
    await assert.rejects(client[act](instanceId), AmbiguousInstanceError);
    await assert.rejects(
      client[act](instanceId, { workflow: a }),
      (error) => error instanceof EngineUnavailableError || error instanceof IllegalTransitionError,
    );
  }
  await assert.rejects(client.sendEvent(instanceId, "go"), (error) => {
    assert.ok(error instanceof AmbiguousInstanceError);
    assert.deepEqual([...error.workflows].sort(), names);
    return true;
  });
  await assert.rejects(
    client.sendEvent(instanceId, "go", null, { workflow: a }),
    EngineUnavailableError,
  );
  const watched = client.subscribe(WatchInstanceDocument, { instanceId, workflow: a });
  const { value } = await watched.next();
  assert.equal(value?.instance?.workflow.name, a);
  await watched.return();
  await assert.rejects(client.subscribe(WatchInstanceDocument, { instanceId }).next(), (error) => {
    assert.ok(error instanceof AmbiguousError);
    assert.deepEqual([...error.workflows].sort(), names);
    return true;
  });
  await trackStep(env, instanceId, "load", undefined, () => 1, { workflow: a, occurrence: 2 });
  assert.equal(
    await updateWorkflowStep(
      { workflow_instance_id: instanceId, workflow: a, step_name: "load", status: "Running" },
      env,
    ),
    true,
  );
  const [one, other] = await Promise.all(
    names.map((name) => found(instanceId, { workflow: name })),
  );
  assert.deepEqual(
    one?.steps?.map(({ name, occurrence, status }) => [name, occurrence, status]),
    [
      ["load", 2, "COMPLETED"],
      ["load", 1, "RUNNING"],
    ],
  );
  assert.deepEqual(other?.steps, []);
});

test("a run that was restarted is reported no further, and its workflow notices nothing", async (context) => {
  /** @type {string[]} */
  const lines = [];
  context.mock.method(console, "warn", (/** @type {string} */ line) => lines.push(line));
  // The engine's own run only waits; this one is what is left of the first.
  const { workflowId } = await client.startWorkflow("js-script", {
    actions: [{ wait: "word", type: "go" }],
    bare: true,
  });
  const key = { workflow: "js-script" };
  const event = { payload: {}, instanceId: workflowId, workflowName: key.workflow };
  const engine = {
    do: async (/** @type {string} */ _, /** @type {() => unknown} */ work) => work(),
    sleep: async () => {},
    sleepUntil: async () => {},
    waitForEvent: async () => {},
  };
  const calls = context.mock.method(globalThis, "fetch");
  let before = 0;
  const result = await trackWorkflow(env, event, engine, async (step) => {
    await step.do("one", async () => 1);
    const reported = async () => (await found(workflowId, key)).steps?.length === 1;
    while (!(await reported())) await new Promise((done) => setTimeout(done, 20));
    await client.restartWorkflow(workflowId, key);
    before = calls.mock.callCount();
    for (const name of ["two", "three"]) await step.do(name, async () => 2);
    return "done";
  });
  assert.equal(result, "done");
  assert.equal(calls.mock.callCount(), before + 1);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /^\[flowflare\] \S+: \d+ report\(s\) .*: RunMismatchError: /);
  const { instance } = await client.query(GetRunsDocument, { instanceId: workflowId, ...key });
  assert.deepEqual(
    instance?.runs.map(({ number, steps }) => [number, steps.map(({ name }) => name)]),
    [
      [2, []],
      [1, ["one"]],
    ],
  );
  assert.equal(
    await updateWorkflowInstance({ id: workflowId, run: 1, status: "Errored" }, env),
    false,
  );
  assert.equal((await found(workflowId, key)).run, 2);
  await client.terminateWorkflow(workflowId, key);
});
