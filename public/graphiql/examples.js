// What GraphiQL shows on the first visit: one tab each. Lines are short, the editor is narrow.

const EXAMPLES = [
  {
    query: `# Put the key into the field above. Locally it
# is in .dev.vars, as FLOWFLARE_API_KEY.
#
# Run this with the button or Ctrl-Enter.
# Ctrl-Space completes; the book on the left
# describes every type. The next tab starts
# a workflow.

query Overview {
  stats {
    total
    statusCounts { status count }
  }
  # The newest; none before the first start.
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
    query: `# Two operations: the button asks which one
# to run, Ctrl-Enter runs the one the cursor
# is in. Run Start, then Read several times.
#
# The order is executed here. Its payment
# fails twice before it succeeds.

mutation Start {
  startWorkflow(input: {
    workflow: "order-processing"
    reference: {refType: "order", refId: "1003"}
    input: {items: ["book"], failPayments: 2}
  }) {
    ... on InstancePayload {
      instance { instanceId status }
    }
    ... on Error { code message }
  }
}

query Read {
  reference(refType: "order", refId: "1003") {
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
  },
  {
    query: `# Run this, then Start in the second tab of
# another window: every event appears here as
# it happens. The button stops it.

subscription Live {
  workflowEvents {
    events {
      at
      type
      status
      instance { instanceId }
      step { name }
      attempt
    }
    cursor
  }
}
`,
  },
];
