// What GraphiQL shows on the first visit: one tab each.

const EXAMPLES = [
  {
    query: `# Put the key into the field above. On your machine it is in the file .dev.vars
# (FLOWFLARE_API_KEY). Then run this with the button or Ctrl-Enter.
#
# Ctrl-Space completes, the book on the left has every type, the next tab starts a workflow.

query Overview {
  stats {
    total
    statusCounts { status count }
  }
  # The newest instances; an empty list where nothing has been started yet.
  instances(first: 5) {
    nodes {
      instanceId
      status
      workflow { name }
      reference { refType refId }
      steps { name status attemptCount }
    }
  }
}
`,
  },
  {
    query: `# Two operations. The button asks which one to run; Ctrl-Enter runs the one the cursor is in.
# Run Start first, then Read, several times: the local engine executes the order, and its
# payment fails twice before it succeeds. The values are in the variables below.

mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) {
    ... on InstancePayload { instance { instanceId status } }
    ... on Error { code message }
  }
}

query Read($refType: String!, $refId: String!) {
  reference(refType: $refType, refId: $refId) {
    latestInstance {
      instanceId
      status
      output
      duration
      steps {
        name
        status
        attempts { number status error { message } }
      }
      events(first: 20) { events { at type } }
    }
  }
}
`,
    variables: JSON.stringify(
      {
        input: {
          workflow: "order-processing",
          reference: { refType: "order", refId: "1003" },
          input: { items: ["book", "pen"], failPayments: 2 },
        },
        refType: "order",
        refId: "1003",
      },
      null,
      2,
    ),
  },
];
