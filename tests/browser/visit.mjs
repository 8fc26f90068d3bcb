// Visits the pages of a server in Chromium, as a new user would, and prints a record as JSON. The
// environment names the server (URL), its API key (KEY) and the browser (CHROMIUM).

import { chromium } from "playwright-core";

const [url, key, executablePath] = ["URL", "KEY", "CHROMIUM"].map((name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set.`);
  return value;
});

// CI runs as root, for whom Chromium's sandbox does not work.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  console.log(JSON.stringify(await visit()));
} finally {
  await browser.close();
}

async function visit() {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  /** @type {string[]} */
  const requests = [];
  /** @type {string[]} */
  const problems = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("requestfailed", (request) => problems.push(`failed: ${request.url()}`));
  page.on("pageerror", (error) => problems.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
  });

  const landing = await page.goto(`${url}/`);
  const links = await page
    .locator("a[href]")
    .evaluateAll((anchors) =>
      anchors.map((anchor) => /** @type {{href: string}} */ (/** @type {unknown} */ (anchor)).href),
    );
  const heading = await page.locator("h1").innerText();
  const linked = [];
  for (const link of new Set(links.map((link) => link.split("#")[0]))) {
    const response = await page.request.get(link, { headers: { accept: "text/html" } });
    linked.push({ url: link, status: response.status() });
  }

  await page.getByRole("link", { name: "Open GraphiQL" }).click();
  await page.locator(".graphiql-query-editor").waitFor();
  const address = page.url();
  const opening = problems.splice(0);
  await execute(page);
  const withoutKey = await result(page, "A key is needed");

  await enterKey(page, `${key}-wrong`);
  await execute(page);
  const wrongKey = await result(page, "UNAUTHENTICATED");
  // The browser logs every 401 as an error.
  const refused = problems.splice(0);

  await enterKey(page, key);
  await page.getByText("The key is accepted.").waitFor();
  await execute(page);
  const answer = await result(page, '"data"');
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  const documented = await page.locator(".graphiql-doc-explorer").innerText();

  await executeTab(page, "Live");
  const live = await liveEvents(page);
  await page.getByRole("button", { name: /^Stop query/ }).click();

  await page.reload();
  await page.locator(".graphiql-query-editor").waitFor();
  await executeTab(page, "Overview");
  const afterReload = await result(page, '"stats"');
  return {
    landing: { status: landing?.status(), heading, linked },
    graphiql: { address, withoutKey, wrongKey, answer, documented, live, afterReload },
    requests,
    problems: { opening, refused, working: problems.splice(0) },
  };
}

/** @param {import("playwright-core").Page} page @param {string} value */
async function enterKey(page, value) {
  await page.getByRole("textbox", { name: "Key" }).fill(value);
  await page.getByRole("button", { name: "Use", exact: true }).click();
  await page.locator(".graphiql-query-editor").waitFor();
}

/**
 * Open the tab of an operation and execute it. GraphiQL needs a moment to parse another tab; until
 * then it would execute the operation of the last one.
 * @param {import("playwright-core").Page} page
 * @param {string} operation
 */
async function executeTab(page, operation) {
  const editor = page.locator(".graphiql-query-editor .CodeMirror");
  const current = () =>
    editor.evaluate((element) => /** @type {any} */ (element).CodeMirror.operationName);
  await page.getByRole("tab", { name: operation }).click();
  const deadline = Date.now() + 10_000;
  while ((await current()) !== operation) {
    if (Date.now() > deadline) throw new Error(`GraphiQL did not open the tab ${operation}.`);
    await page.waitForTimeout(50);
  }
  await execute(page);
}

/** @param {import("playwright-core").Page} page */
async function execute(page) {
  await page.getByRole("button", { name: /^Execute query/ }).click();
}

/**
 * Start instances until a running subscription shows an event; returns the text. GraphiQL does not
 * show when a subscription begins, so the first instances may be missed.
 * @param {import("playwright-core").Page} page
 */
async function liveEvents(page) {
  const query = `mutation { startWorkflow(input: {workflow: "seen-live", trackOnly: true}) { __typename } }`;
  const headers = { authorization: `Bearer ${key}` };
  for (let tries = 0; tries < 20; tries += 1) {
    await page.request.post(`${url}/graphql`, { headers, data: { query } });
    const shown = page.locator(".result-window").filter({ hasText: "INSTANCE_QUEUED" });
    if (
      await shown.waitFor({ timeout: 500 }).then(
        () => true,
        () => false,
      )
    )
      break;
  }
  return result(page, "INSTANCE_QUEUED");
}

/**
 * Wait until the response contains `words`, and return its text.
 * @param {import("playwright-core").Page} page
 * @param {string} words
 */
async function result(page, words) {
  const shown = page.locator(".result-window").filter({ hasText: words });
  await shown.waitFor();
  // The editor renders only the lines in view, so the text is read from its model.
  return shown
    .locator(".CodeMirror")
    .evaluate((element) => /** @type {any} */ (element).CodeMirror.getValue());
}
