// The part of schema/schema.graphql that the measured operations use.

export const typeDefs = /* GraphQL */ `
  scalar DateTime
  scalar EventCursor
  scalar JSON

  enum InstanceStatus {
    QUEUED
    RUNNING
    COMPLETED
    ERRORED
  }

  enum EventType {
    INSTANCE_STARTED
    INSTANCE_UPDATED
    INSTANCE_COMPLETED
    INSTANCE_ERRORED
  }

  type Workflow {
    name: String!
  }

  type WorkflowInstance {
    instanceId: String!
    workflow: Workflow!
    status: InstanceStatus!
    metadata: JSON
    startedAt: DateTime
    updatedAt: DateTime!
  }

  type WorkflowEvent {
    cursor: EventCursor!
    type: EventType!
    at: DateTime!
    status: InstanceStatus!
    instance: WorkflowInstance!
  }

  type WorkflowEventPage {
    events: [WorkflowEvent!]!
    cursor: EventCursor!
  }

  input ReferenceFilter {
    refType: String
    refId: String
  }

  input EventFilter {
    reference: ReferenceFilter
  }

  input UpdateWorkflowInstanceInput {
    instanceId: String!
    metadata: JSON
  }

  input TrackingUpdate {
    instance: UpdateWorkflowInstanceInput
  }

  type InstancePayload {
    instance: WorkflowInstance!
  }

  type TrackPayload {
    applied: Int!
  }

  union UpdateWorkflowInstanceResult = InstancePayload
  union TrackResult = TrackPayload

  type Query {
    ping: String
  }

  type Mutation {
    updateWorkflowInstance(input: UpdateWorkflowInstanceInput!): UpdateWorkflowInstanceResult!
    track(updates: [TrackingUpdate!]!): TrackResult!
  }

  type Subscription {
    workflowEvents(filter: EventFilter): WorkflowEventPage!
  }
`;
