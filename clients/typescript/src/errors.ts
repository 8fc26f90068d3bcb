/**
 * Everything this package throws:
 *
 *     FlowflareError
 *     ├── ConfigurationError      no address of the service, or an option that is not valid
 *     ├── UnreachableError        no answer: network, time limit, a service that is down
 *     ├── RequestError            the request was refused; docs/errors.md explains its `code`
 *     │   ├── UnauthenticatedError
 *     │   ├── ForbiddenError
 *     │   └── AmbiguousError
 *     └── RefusedError            a mutation's expected failure; nothing was changed
 *         ├── InvalidInputError
 *         ├── NotFoundError
 *         ├── AmbiguousInstanceError
 *         ├── UnboundWorkflowError
 *         ├── RunMismatchError
 *         ├── ConflictError
 *         ├── IllegalTransitionError
 *         └── EngineUnavailableError
 */
export class FlowflareError extends Error {
  override readonly name: string = "FlowflareError";
}

/** There is neither a service binding nor a URL, or an option is not valid. */
export class ConfigurationError extends FlowflareError {
  override readonly name: string = "ConfigurationError";
}

/** The service gave no readable answer. The call may have taken effect nevertheless. */
export class UnreachableError extends FlowflareError {
  override readonly name: string = "UnreachableError";

  /** HTTP status, if there was an answer. */
  readonly status: number | undefined;

  constructor(message: string, options: { status?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = options.status;
  }
}

/** An entry of a GraphQL response's `errors`. */
export interface GraphQLFailure {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** The service refused the request, or a field of it. */
export class RequestError extends FlowflareError {
  override readonly name: string = "RequestError";

  /** Stable code of the first failure, such as `INVALID_DOCUMENT`; see docs/errors.md. */
  readonly code: string;
  /** The path of the failed field in the operation. */
  readonly path: readonly (string | number)[] | undefined;
  /** The argument that was refused, with dots for nested fields. */
  readonly argument: string | undefined;
  /** All entries of the response's `errors`. */
  readonly errors: readonly GraphQLFailure[];
  /** The data in spite of the errors. */
  readonly data: unknown;

  constructor(errors: readonly GraphQLFailure[], data?: unknown) {
    const first = errors[0];
    super(first?.message ?? "The service refused the request without a reason.");
    const { code, argument } = first?.extensions ?? {};
    this.code = typeof code === "string" ? code : "UNKNOWN";
    this.argument = typeof argument === "string" ? argument : undefined;
    this.path = first?.path;
    this.errors = errors;
    this.data = data;
  }
}

/** No key was sent, or one that is not valid (any more). */
export class UnauthenticatedError extends RequestError {
  override readonly name: string = "UnauthenticatedError";
}

/** The key does not allow this request. */
export class ForbiddenError extends RequestError {
  override readonly name: string = "ForbiddenError";
}

/** A query or subscription gave no workflow, and instances of several have the id. */
export class AmbiguousError extends RequestError {
  override readonly name: string = "AmbiguousError";

  /** The workflows that have an instance with the id. */
  readonly workflows: readonly string[];

  constructor(errors: readonly GraphQLFailure[], data?: unknown) {
    super(errors, data);
    const workflows = errors[0]?.extensions?.["workflows"];
    this.workflows = Array.isArray(workflows) ? workflows : [];
  }
}

/** The `RequestError` for a response's `errors`. */
export function requestError(errors: readonly GraphQLFailure[], data?: unknown): RequestError {
  const code = errors[0]?.extensions?.["code"];
  if (code === "UNAUTHENTICATED") return new UnauthenticatedError(errors, data);
  if (code === "FORBIDDEN") return new ForbiddenError(errors, data);
  if (code === "AMBIGUOUS") return new AmbiguousError(errors, data);
  return new RequestError(errors, data);
}

/** A failure member of a mutation's result union; its fields depend on its code. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly path?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly instances?: readonly { readonly workflow: { readonly name: string } }[];
  readonly suggestions?: readonly string[];
  readonly run?: number;
}

/** A mutation answered with one of its expected failures and changed nothing. */
export class RefusedError extends FlowflareError {
  override readonly name: string = "RefusedError";

  /** `INVALID_INPUT`, `NOT_FOUND`, `CONFLICT`, `ILLEGAL_TRANSITION`, … */
  readonly code: string;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.code = refusal.code;
  }
}

/** A value cannot be accepted (`INVALID_INPUT`), or is too large (`PAYLOAD_TOO_LARGE`). */
export class InvalidInputError extends RefusedError {
  override readonly name: string = "InvalidInputError";

  /** Path of the offending field, outermost first. */
  readonly path: readonly string[];

  constructor(refusal: Refusal) {
    super(refusal);
    this.path = refusal.path ?? [];
  }
}

/** No such instance is tracked, or the token does not show it. */
export class NotFoundError extends RefusedError {
  override readonly name: string = "NotFoundError";
}

/** The call gave no workflow, and instances of several have the id (`AMBIGUOUS`). */
export class AmbiguousInstanceError extends RefusedError {
  override readonly name: string = "AmbiguousInstanceError";

  /** The workflows that have an instance with the id. */
  readonly workflows: readonly string[];

  constructor(refusal: Refusal) {
    super(refusal);
    this.workflows = (refusal.instances ?? []).map(({ workflow }) => workflow.name);
  }
}

/** No Workflow is bound for the name, so nothing would run the instance (`UNBOUND_WORKFLOW`). */
export class UnboundWorkflowError extends RefusedError {
  override readonly name: string = "UnboundWorkflowError";

  /** Similar names that are bound, the most similar first. */
  readonly suggestions: readonly string[];

  constructor(refusal: Refusal) {
    super(refusal);
    this.suggestions = refusal.suggestions ?? [];
  }
}

/** The report names another run than the current one (`RUN_MISMATCH`). */
export class RunMismatchError extends RefusedError {
  override readonly name: string = "RunMismatchError";

  /** Number of the current run. */
  readonly run: number | undefined;

  constructor(refusal: Refusal) {
    super(refusal);
    this.run = refusal.run;
  }
}

/** The workflow has an instance with the id, and the call had `onConflict: "FAIL"`. */
export class ConflictError extends RefusedError {
  override readonly name: string = "ConflictError";
}

/** The state does not allow the change. */
export class IllegalTransitionError extends RefusedError {
  override readonly name: string = "IllegalTransitionError";

  /** Status of the instance. */
  readonly from: string | undefined;
  /** Status that was asked for. */
  readonly to: string | undefined;

  constructor(refusal: Refusal) {
    super(refusal);
    this.from = refusal.from;
    this.to = refusal.to;
  }
}

/** No Workflow is bound for the name, or the engine refused; `message` is the engine's own. */
export class EngineUnavailableError extends RefusedError {
  override readonly name: string = "EngineUnavailableError";

  /** After `startWorkflow`: the id of the recorded instance, for another call. */
  readonly workflowId: string | undefined;

  constructor(refusal: Refusal, workflowId?: string) {
    super(refusal);
    this.workflowId = workflowId;
  }
}

const REFUSALS: ReadonlyMap<string, new (refusal: Refusal) => RefusedError> = new Map([
  ["INVALID_INPUT", InvalidInputError],
  ["PAYLOAD_TOO_LARGE", InvalidInputError],
  ["NOT_FOUND", NotFoundError],
  ["AMBIGUOUS", AmbiguousInstanceError],
  ["UNBOUND_WORKFLOW", UnboundWorkflowError],
  ["RUN_MISMATCH", RunMismatchError],
  ["CONFLICT", ConflictError],
  ["ILLEGAL_TRANSITION", IllegalTransitionError],
  ["ENGINE_UNAVAILABLE", EngineUnavailableError],
]);

/** The `RefusedError` for a failure member of a result union. */
export function refusedError(refusal: Refusal): RefusedError {
  return new (REFUSALS.get(refusal.code) ?? RefusedError)(refusal);
}

/** True if the same call may succeed a moment later. */
export function isTemporary(error: unknown): boolean {
  if (error instanceof RequestError) return error.code === "INTERNAL";
  if (!(error instanceof UnreachableError)) return false;
  const { status = 503 } = error;
  return status >= 500 || status === 408 || status === 429;
}
