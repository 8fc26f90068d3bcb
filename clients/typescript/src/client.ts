/** `WorkflowClient`: starts, finds and drives workflows from any Worker, browser or Node. */

import { Connection } from "./connection.ts";
import type { ServiceAddress } from "./connection.ts";
import type { TypedDocument, VariablesOf } from "./typed-document.ts";
import { ConfigurationError, EngineUnavailableError, refusedError } from "./errors.ts";
import type { Refusal } from "./errors.ts";
import * as operations from "./operations.ts";
import { instanceStatus, spelled } from "./statuses.ts";
import type { WorkflowStatus } from "./statuses.ts";
import type { SubscribeOptions } from "./subscriptions.ts";
import { workflowOf } from "./workflows.ts";
import type { Workflow } from "./workflows.ts";

/** How a start behaves. */
export interface StartOptions {
  /** Id of the instance, which makes the call repeatable; a random one where absent. */
  instanceId?: string;
  /** Return the instance that has the id already (the default), or throw a ConflictError. */
  onConflict?: "USE_EXISTING" | "FAIL";
}

export interface StartedWorkflow {
  success: true;
  /** The instance's id. */
  workflowId: string;
  status: WorkflowStatus;
  ref_id: string | null;
  ref_type: string | null;
  created_at: string;
}

/** What an action left the instance at. */
export interface WorkflowAction {
  success: true;
  workflowId: string;
  status: WorkflowStatus;
}

export interface ListOptions {
  /** One status or several: `Running`, `Completed`, …, or the API's names. */
  status?: string | readonly string[] | undefined;
  /** Name of the workflow, or several. */
  workflow?: string | readonly string[] | undefined;
  /** Workflows of a page; 20 where absent, at most 100. */
  limit?: number | undefined;
  /** The `cursor` of the page before. */
  cursor?: string | null | undefined;
}

export interface RefOptions extends ListOptions {
  ref_id?: string | undefined;
  ref_type?: string | undefined;
}

export interface WorkflowPage {
  success: true;
  /** Newest first. */
  workflows: Workflow[];
  /** For the next page; null where this is the last. */
  cursor: string | null;
  hasMore: boolean;
}

/**
 * A client of the service, over a service binding or its URL. Every method raises
 * UnreachableError where the service does not answer, RequestError where it refuses the request,
 * RefusedError where it refuses the change.
 */
export class WorkflowClient {
  readonly #address: ServiceAddress;
  readonly #connection: Connection;

  /** Raises ConfigurationError where neither a binding nor a URL is given. */
  constructor(address: ServiceAddress) {
    this.#address = address;
    this.#connection = new Connection(address);
  }

  /**
   * Start a workflow; one whose name is new is registered. Where no Workflow is bound for the name
   * it is recorded only, and whoever runs it reports. Raises EngineUnavailableError where it was
   * recorded but could not be started; its `workflowId` is what to call again with.
   */
  async startWorkflow(
    workflowType: string,
    params: unknown = {},
    ref_id?: string | null,
    ref_type?: string | null,
    metadata?: unknown,
    { instanceId = crypto.randomUUID(), onConflict }: StartOptions = {},
  ): Promise<StartedWorkflow> {
    if (Boolean(ref_id) !== Boolean(ref_type)) {
      throw new ConfigurationError("ref_id and ref_type are given together, or neither is.");
    }
    const input = {
      workflow: workflowType,
      instanceId,
      input: params,
      ...(ref_id && ref_type && { reference: { refType: ref_type, refId: ref_id } }),
      ...(metadata !== undefined && { metadata }),
      ...(onConflict && { onConflict }),
    };
    const { result } = await this.#ask(operations.START, { input });
    if (!("instance" in result)) {
      if (result.code === "ENGINE_UNAVAILABLE")
        throw new EngineUnavailableError(result, instanceId);
      throw refusedError(result);
    }
    const { instance } = result;
    return {
      success: true,
      workflowId: instance.instanceId,
      status: spelled(instance.status),
      ref_id: instance.reference?.refId ?? null,
      ref_type: instance.reference?.refType ?? null,
      created_at: instance.createdAt,
    };
  }

  /** An instance with its steps and their attempts; `workflow` is null where none is tracked. */
  async getWorkflow(workflowId: string): Promise<{ success: true; workflow: Workflow | null }> {
    const { instance } = await this.#ask(operations.GET, { instanceId: workflowId });
    return { success: true, workflow: instance && workflowOf(instance) };
  }

  /** A page of instances, newest first. */
  async listWorkflows(options: ListOptions = {}): Promise<WorkflowPage> {
    return this.#list({}, options);
  }

  /** Those that work on something: one entity, or with `ref_type` alone all of a kind. */
  async getWorkflowsByRef(options: RefOptions): Promise<WorkflowPage> {
    const { ref_id, ref_type } = options;
    if (!ref_id && !ref_type) throw new ConfigurationError("ref_id or ref_type must be given.");
    const reference = { ...(ref_type && { refType: ref_type }), ...(ref_id && { refId: ref_id }) };
    return this.#list({ reference }, options);
  }

  /** Pause an instance that runs, sleeps or waits. Needs a bound Workflow, as all actions do. */
  async pauseWorkflow(workflowId: string): Promise<WorkflowAction> {
    return this.#act(operations.PAUSE, { instanceId: workflowId });
  }

  /** Let an instance that is paused go on. */
  async resumeWorkflow(workflowId: string): Promise<WorkflowAction> {
    return this.#act(operations.RESUME, { instanceId: workflowId });
  }

  /** End an instance. */
  async terminateWorkflow(workflowId: string): Promise<WorkflowAction> {
    return this.#act(operations.TERMINATE, { instanceId: workflowId });
  }

  /** Run an instance again from its beginning. */
  async restartWorkflow(workflowId: string): Promise<WorkflowAction> {
    return this.#act(operations.RESTART, { instanceId: workflowId });
  }

  /** Send an event to an instance, for its `waitForEvent`. */
  async sendEvent(
    workflowId: string,
    type: string,
    payload: unknown = null,
  ): Promise<WorkflowAction> {
    return this.#act(operations.SEND_EVENT, { instanceId: workflowId, type, payload });
  }

  /** Run a query or mutation; a typed document knows its variables and its result. */
  async query<Result = unknown, Variables = Record<string, unknown>>(
    document: TypedDocument<Result, Variables>,
    ...[variables]: VariablesOf<Variables>
  ): Promise<Result> {
    return (await this.#connection.request(
      String(document),
      JSON.stringify(variables ?? {}),
    )) as Result;
  }

  /**
   * Results of a subscription as they come; see `subscribe` in `@flowflare/client/subscriptions`,
   * which is loaded when this is called first. Needs `serviceUrl`: the socket goes over HTTPS.
   */
  async *subscribe<Result = unknown, Variables = Record<string, unknown>>(
    document: TypedDocument<Result, Variables>,
    variables?: Variables,
    options: SubscribeOptions = {},
  ): AsyncGenerator<Result, void, undefined> {
    const { subscribe } = await import("./subscriptions.ts");
    yield* subscribe(this.#address, document, variables, options);
  }

  async #list(filter: Record<string, unknown>, options: ListOptions): Promise<WorkflowPage> {
    const { status, workflow, limit, cursor } = options;
    if ("offset" in options && options.offset) {
      throw new ConfigurationError(
        "Pages go on from a cursor: give the `cursor` of the page before instead of `offset`.",
      );
    }
    const variables = {
      filter: {
        ...filter,
        ...(status !== undefined && { status: listed(status).map(instanceStatus) }),
        ...(workflow !== undefined && { workflow: listed(workflow) }),
      },
      ...(limit !== undefined && { first: limit }),
      ...(cursor && { after: cursor }),
    };
    const { instances } = await this.#ask(operations.LIST, variables);
    const { hasNextPage, endCursor } = instances.pageInfo;
    return {
      success: true,
      workflows: instances.nodes.map(workflowOf),
      cursor: hasNextPage ? endCursor : null,
      hasMore: hasNextPage,
    };
  }

  async #act(document: operations.Action, input: Record<string, unknown>): Promise<WorkflowAction> {
    const { result } = await this.#ask(document, { input });
    if (!("instance" in result)) throw refusedError(result as Refusal);
    const { instanceId, status } = result.instance;
    return { success: true, workflowId: instanceId, status: spelled(status) };
  }

  async #ask<Result>(
    document: TypedDocument<Result>,
    variables: Record<string, unknown>,
  ): Promise<Result> {
    return this.query(document, variables);
  }
}

function listed(value: string | readonly string[]): readonly string[] {
  return typeof value === "string" ? [value] : value;
}
