/** `WorkflowClient`: starts, finds and controls workflows from any Worker, browser or Node. */

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

/** Options of `startWorkflow`. */
export interface StartOptions {
  /** Id of the instance, which makes the call repeatable; random by default. */
  instanceId?: string;
  /** If the workflow has an instance with the id: return it (the default), or throw ConflictError. */
  onConflict?: "USE_EXISTING" | "FAIL";
  /** Record the instance although no Workflow is bound; the program that executes it reports. */
  trackOnly?: boolean;
}

/** Options of the methods that take an instance's id. */
export interface InstanceOptions {
  /** Name of the workflow; needed if instances of several workflows have the id. */
  workflow?: string | undefined;
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

/** The instance after an action. */
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
  /** Workflows per page; 20 by default, at most 100. */
  limit?: number | undefined;
  /** The `cursor` of the previous page. */
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
  /** The cursor for the next page; null on the last page. */
  cursor: string | null;
  hasMore: boolean;
}

/**
 * A client of the service, over a service binding or at its URL. Every method throws
 * UnreachableError if the service does not answer, RequestError if it refuses the request, and
 * RefusedError if it refuses the change.
 */
export class WorkflowClient {
  readonly #address: ServiceAddress;
  readonly #connection: Connection;

  /** Throws ConfigurationError if neither a binding nor a URL is given. */
  constructor(address: ServiceAddress) {
    this.#address = address;
    this.#connection = new Connection(address);
  }

  /**
   * Start a workflow. Throws UnboundWorkflowError if no Workflow is bound for the name, unless
   * `trackOnly` is given or the workflow was registered with it. Throws
   * EngineUnavailableError if the instance was recorded but could not be started; call again with
   * its `workflowId`.
   */
  async startWorkflow(
    workflowType: string,
    params: unknown = {},
    ref_id?: string | null,
    ref_type?: string | null,
    metadata?: unknown,
    { instanceId = crypto.randomUUID(), onConflict, trackOnly }: StartOptions = {},
  ): Promise<StartedWorkflow> {
    if (Boolean(ref_id) !== Boolean(ref_type)) {
      throw new ConfigurationError("ref_id and ref_type must be given together.");
    }
    const input = {
      workflow: workflowType,
      instanceId,
      input: params,
      ...(ref_id && ref_type && { reference: { refType: ref_type, refId: ref_id } }),
      ...(metadata !== undefined && { metadata }),
      ...(onConflict && { onConflict }),
      ...(trackOnly && { trackOnly }),
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

  /**
   * Get an instance with the steps and attempts of its current run; `workflow` is null if it is not
   * tracked. Throws AmbiguousError if instances of several workflows have the id.
   */
  async getWorkflow(
    workflowId: string,
    { workflow }: InstanceOptions = {},
  ): Promise<{ success: true; workflow: Workflow | null }> {
    const { instance } = await this.#ask(operations.GET, { instanceId: workflowId, workflow });
    return { success: true, workflow: instance && workflowOf(instance) };
  }

  /** Get a page of instances, newest first. */
  async listWorkflows(options: ListOptions = {}): Promise<WorkflowPage> {
    return this.#list({}, options);
  }

  /** Get the instances that work on one entity, or with `ref_type` alone on any of a type. */
  async getWorkflowsByRef(options: RefOptions): Promise<WorkflowPage> {
    const { ref_id, ref_type } = options;
    if (!ref_id && !ref_type) throw new ConfigurationError("ref_id or ref_type must be given.");
    const reference = { ...(ref_type && { refType: ref_type }), ...(ref_id && { refId: ref_id }) };
    return this.#list({ reference }, options);
  }

  /**
   * Pause an instance that runs, sleeps or waits. Like all actions, it needs a bound Workflow, and
   * throws AmbiguousInstanceError if instances of several workflows have the id.
   */
  async pauseWorkflow(workflowId: string, options?: InstanceOptions): Promise<WorkflowAction> {
    return this.#act(operations.PAUSE, workflowId, options);
  }

  /** Resume a paused instance. */
  async resumeWorkflow(workflowId: string, options?: InstanceOptions): Promise<WorkflowAction> {
    return this.#act(operations.RESUME, workflowId, options);
  }

  /** End an instance for good. */
  async terminateWorkflow(workflowId: string, options?: InstanceOptions): Promise<WorkflowAction> {
    return this.#act(operations.TERMINATE, workflowId, options);
  }

  /** Restart an instance from its beginning, as its next run. */
  async restartWorkflow(workflowId: string, options?: InstanceOptions): Promise<WorkflowAction> {
    return this.#act(operations.RESTART, workflowId, options);
  }

  /** Send an event to an instance, for its `waitForEvent`. */
  async sendEvent(
    workflowId: string,
    type: string,
    payload: unknown = null,
    options?: InstanceOptions,
  ): Promise<WorkflowAction> {
    return this.#act(operations.SEND_EVENT, workflowId, options, { type, payload });
  }

  /** Run a query or mutation; a typed document has the types of its variables and its result. */
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
   * Yield the results of a subscription; see `subscribe` in `@flowflare/client/subscriptions`,
   * which the first call loads. Needs `serviceUrl`, because a binding carries no WebSocket.
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
        "offset is not supported: give the `cursor` of the previous page instead.",
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

  async #act(
    document: operations.Action,
    instanceId: string,
    { workflow }: InstanceOptions = {},
    members: Record<string, unknown> = {},
  ): Promise<WorkflowAction> {
    const input = { instanceId, workflow, ...members };
    const { result } = await this.#ask(document, { input });
    if (!("instance" in result)) throw refusedError(result as Refusal);
    const { instance } = result;
    return { success: true, workflowId: instance.instanceId, status: spelled(instance.status) };
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
