// The part of schema/schema.graphql that the benchmarks use, copied without changes.

export const typeDefs = /* GraphQL */ `
  scalar DateTime
  scalar JSON
  scalar Duration

  enum InstanceStatus {
    QUEUED
    RUNNING
    SLEEPING
    WAITING
    WAITING_FOR_PAUSE
    PAUSED
    COMPLETED
    ERRORED
    TERMINATED
    UNKNOWN
  }

  enum StepStatus {
    PENDING
    RUNNING
    RETRYING
    COMPLETED
    FAILED
    CANCELLED
  }

  enum StepKind {
    TASK
    SLEEP
    WAIT_FOR_EVENT
  }

  enum AttemptStatus {
    RUNNING
    COMPLETED
    FAILED
    CANCELLED
  }

  enum Backoff {
    CONSTANT
    LINEAR
    EXPONENTIAL
  }

  enum ErrorCode {
    INVALID_INPUT
    NOT_FOUND
    AMBIGUOUS
    CONFLICT
    UNBOUND_WORKFLOW
    RUN_MISMATCH
    ILLEGAL_TRANSITION
    ENGINE_UNAVAILABLE
    PAYLOAD_TOO_LARGE
  }

  enum ConflictPolicy {
    USE_EXISTING
    FAIL
  }

  interface Node {
    id: ID!
  }

  type Workflow implements Node {
    id: ID!
    name: String!
    description: String
    metadata: JSON
    retentionDays: Int
    bound: Boolean!
    trackOnly: Boolean!
    createdAt: DateTime!
    updatedAt: DateTime!
  }

  type Reference implements Node {
    id: ID!
    refType: String!
    refId: String!
    instances(first: Int, after: String): WorkflowInstanceConnection!
  }

  type WorkflowInstance implements Node {
    id: ID!
    instanceId: String!
    workflow: Workflow!
    bound: Boolean!
    run: Int!
    reference: Reference
    status: InstanceStatus!
    input: JSON
    output: JSON
    error: WorkflowError
    metadata: JSON
    createdAt: DateTime!
    startedAt: DateTime
    updatedAt: DateTime!
    completedAt: DateTime
    sleepUntil: DateTime
    duration: Duration
    steps: [WorkflowStep!]!
  }

  type WorkflowStep implements Node {
    id: ID!
    instance: WorkflowInstance!
    run: Int!
    name: String!
    occurrence: Int!
    index: Int!
    kind: StepKind!
    status: StepStatus!
    output: JSON
    error: WorkflowError
    retryPolicy: RetryPolicy
    attempts: [StepAttempt!]!
    attemptCount: Int!
    nextRetryAt: DateTime
    startedAt: DateTime
    completedAt: DateTime
    duration: Duration
  }

  type RetryPolicy {
    limit: Int!
    delay: Duration!
    backoff: Backoff!
  }

  type StepAttempt {
    number: Int!
    status: AttemptStatus!
    error: WorkflowError
    startedAt: DateTime
    endedAt: DateTime
    retryAt: DateTime
  }

  type WorkflowError {
    name: String!
    message: String!
    stack: String
  }

  type PageInfo {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: String
    endCursor: String
  }

  type WorkflowInstanceConnection {
    edges: [WorkflowInstanceEdge!]!
    nodes: [WorkflowInstance!]!
    pageInfo: PageInfo!
  }

  type WorkflowInstanceEdge {
    node: WorkflowInstance!
    cursor: String!
  }

  input ReferenceInput {
    refType: String!
    refId: String!
  }

  input ErrorInput {
    name: String! = "Error"
    message: String!
    stack: String
  }

  input RetryPolicyInput {
    limit: Int!
    delay: Duration!
    backoff: Backoff! = EXPONENTIAL
  }

  input StartWorkflowInput {
    workflow: String!
    instanceId: String
    reference: ReferenceInput
    input: JSON
    metadata: JSON
    onConflict: ConflictPolicy! = USE_EXISTING
    trackOnly: Boolean! = false
  }

  input UpdateWorkflowStepInput {
    instanceId: String!
    workflow: String
    run: Int
    name: String!
    occurrence: Int! = 1
    index: Int
    kind: StepKind
    status: StepStatus!
    output: JSON
    error: ErrorInput
    attempt: Int
    retryPolicy: RetryPolicyInput
    retryAt: DateTime
  }

  interface Error {
    code: ErrorCode!
    message: String!
  }

  type InvalidInput implements Error {
    code: ErrorCode!
    message: String!
    path: [String!]!
  }

  type NotFound implements Error {
    code: ErrorCode!
    message: String!
  }

  type AmbiguousInstance implements Error {
    code: ErrorCode!
    message: String!
    instances: [WorkflowInstance!]!
  }

  type UnboundWorkflow implements Error {
    code: ErrorCode!
    message: String!
    suggestions: [String!]!
  }

  type RunMismatch implements Error {
    code: ErrorCode!
    message: String!
    run: Int!
  }

  type InstanceConflict implements Error {
    code: ErrorCode!
    message: String!
    existing: WorkflowInstance!
  }

  type IllegalTransition implements Error {
    code: ErrorCode!
    message: String!
    from: InstanceStatus!
    to: InstanceStatus!
  }

  type InstancePayload {
    instance: WorkflowInstance!
  }

  type StepPayload {
    step: WorkflowStep!
  }

  union StartWorkflowResult = InstancePayload | InvalidInput | InstanceConflict | UnboundWorkflow
  union UpdateWorkflowStepResult =
    | StepPayload
    | InvalidInput
    | NotFound
    | AmbiguousInstance
    | RunMismatch
    | IllegalTransition

  type Query {
    instance(instanceId: String!, workflow: String): WorkflowInstance
    instances(first: Int, after: String): WorkflowInstanceConnection!
    reference(refType: String!, refId: String!): Reference!
  }

  type Mutation {
    startWorkflow(input: StartWorkflowInput!): StartWorkflowResult!
    updateWorkflowStep(input: UpdateWorkflowStepInput!): UpdateWorkflowStepResult!
  }
`;
