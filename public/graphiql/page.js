// Shows GraphiQL at /graphql, and sends requests with the API key from the field above it.

const STORAGE_KEY = "flowflare:key";
const IS_LOCAL = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
const KEY_HINT = IS_LOCAL
  ? "It is FLOWFLARE_API_KEY in the file .dev.vars."
  : "Ask the operator of this service for one.";

const form = document.getElementById("access");
const field = document.getElementById("key");
const hint = document.getElementById("hint");
const root = ReactDOM.createRoot(document.getElementById("graphiql"));

// The browser forgets the key when the tab is closed.
let key = sessionStorage.getItem(STORAGE_KEY) ?? "";
let renders = 0;
let subscribe = createSubscriber();

function showHint(text, isProblem) {
  hint.textContent = text;
  form.classList.toggle("problem", isProblem);
  field.setAttribute("aria-invalid", String(isProblem));
}

/** Create a fetcher for subscriptions. They share one socket, which opens with the first. */
function createSubscriber() {
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
  // This is returned, because GraphiQL would show a thrown Error with its stack.
  if (!key) return { errors: [{ message: `A key is needed in the field above. ${KEY_HINT}` }] };
  if (isSubscription(parameters, options)) return subscribe(parameters, options);
  const usedKey = key;
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json",
      "Content-Type": "application/json",
      Authorization: `Bearer ${usedKey}`,
    },
    body: JSON.stringify(parameters),
  });
  const answer = await response.json();
  if (usedKey === key) {
    if (response.status === 401) {
      showHint(`${answer.errors[0].message} (401) ${KEY_HINT}`, true);
    } else if (response.status === 403) {
      showHint(`${answer.errors[0].message} (403)`, true);
    } else {
      showHint("The key is accepted.", false);
    }
  }
  return answer;
}

function render() {
  renders += 1;
  root.render(
    React.createElement(GraphiQL, {
      // A new element loads the schema again, with the new key. GraphiQL keeps the tabs.
      key: renders,
      fetcher,
      defaultTabs: EXAMPLES,
      defaultEditorToolsVisibility: false,
      // The only header that is needed comes from the key field.
      isHeadersEditorEnabled: false,
      showPersistHeadersSettings: false,
    }),
  );
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  // A copied key often has white space around it, and headers accept only ASCII.
  key = field.value.replace(/[^\x21-\x7e]/g, "");
  sessionStorage.setItem(STORAGE_KEY, key);
  subscribe = createSubscriber();
  showHint(key ? "Checking the key …" : `A key is needed. ${KEY_HINT}`, !key);
  render();
});

field.value = key;
showHint(key ? "" : `A key is needed. ${KEY_HINT}`, !key);
if (!key) field.focus();
render();
