// The tabs that GraphiQL opens on the first visit. Lines are short because the editor is narrow.

const EXAMPLES = [
  {
    query: `# Enter the API key in the field above. On your
# own machine it is FLOWFLARE_API_KEY in
# .dev.vars.
#
# Press the button or Ctrl-Enter to run this
# query. Ctrl-Space completes names, and the
# book on the left describes every type. The
# next tab starts a workflow.

query Overview {
  stats {
    total
    statusCounts { status count }
  }
  # The newest instances. The list is empty
  # until a workflow has been started.
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
    query: `# This tab has two operations. The button
# asks which one to run; Ctrl-Enter runs the
# one under the cursor. Run Start once, and
# then Read several times.
#
# The example workflow runs in this Worker.
# Its payment fails twice, then succeeds.

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
    query: `# Run this, and then run Start from the second
# tab in another window. Every event appears
# here when it happens. The button stops the
# subscription.

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
