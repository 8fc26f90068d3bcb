// GraphiQL on /graphql, with the key from the field above it.

const STORED = "flowflare:key";
const LOCAL = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
const WHERE = LOCAL ? "It is in the file .dev.vars (FLOWFLARE_API_KEY)." : "Ask who runs this.";

const form = document.getElementById("access");
const field = document.getElementById("key");
const hint = document.getElementById("hint");
const root = ReactDOM.createRoot(document.getElementById("graphiql"));

// Gone with the tab: the key is kept for this session only.
let key = sessionStorage.getItem(STORED) ?? "";
let shown = 0;
let subscribe = subscriber();

function say(text, isProblem) {
  hint.textContent = text;
  form.classList.toggle("problem", isProblem);
  field.setAttribute("aria-invalid", String(isProblem));
}

/** Subscriptions go over a socket, which is opened with the first and then shared. */
function subscriber() {
  return GraphiQL.createFetcher({
    url: "/graphql",
    subscriptionUrl: `${location.origin.replace("http", "ws")}/graphql`,
    wsConnectionParams: { authorization: `Bearer ${key}` },
  });
}

function isSubscription({ operationName }, { documentAST } = {}) {
  return documentAST?.definitions.some(
    ({ operation, name }) =>
      operation === "subscription" && (!operationName || name?.value === operationName),
  );
}

async function fetcher(parameters, options) {
  // GraphiQL shows what it is given; an Error it would show with its stack.
  if (!key) return { errors: [{ message: `A key is needed, in the field above. ${WHERE}` }] };
  if (isSubscription(parameters, options)) return subscribe(parameters, options);
  const used = key;
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json",
      "Content-Type": "application/json",
      Authorization: `Bearer ${used}`,
    },
    body: JSON.stringify(parameters),
  });
  const answer = await response.json();
  if (used === key) {
    if (response.status === 401) {
      say(`${answer.errors[0].message} (401) ${WHERE}`, true);
    } else if (response.status === 403) {
      say(`${answer.errors[0].message} (403)`, true);
    } else {
      say("The key is accepted.", false);
    }
  }
  return answer;
}

function show() {
  shown += 1;
  root.render(
    // A new key asks for the schema anew; the tabs are kept by GraphiQL itself.
    React.createElement(GraphiQL, {
      key: shown,
      fetcher,
      defaultTabs: EXAMPLES,
      defaultEditorToolsVisibility: false,
      // The key field does what a header editor would be used for.
      isHeadersEditorEnabled: false,
      showPersistHeadersSettings: false,
    }),
  );
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  // A header takes printable ASCII only, and what is copied often brings white space along.
  key = field.value.replace(/[^\x21-\x7e]/g, "");
  sessionStorage.setItem(STORED, key);
  subscribe = subscriber();
  say(key ? "Asking …" : `A key is needed. ${WHERE}`, !key);
  show();
});

field.value = key;
say(key ? "" : `A key is needed. ${WHERE}`, !key);
if (!key) field.focus();
show();
