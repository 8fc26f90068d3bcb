/**
 * Content publishing: check a draft, wait for an editor's approval, and publish it.
 *
 * Input: `{ "title", "body", "cdnFailures": 1, "patience": "7 days" }`. The editor answers with
 * `sendWorkflowEvent`, type `approval`, payload `{ "approved": true, "editor": "…" }`.
 */

import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";

interface Draft {
  title: string;
  body: string;
  /** Number of attempts at which the CDN fails. Default: 1. */
  cdnFailures?: number;
  /** Time that the editor has for the approval. Default: seven days. */
  patience?: WorkflowSleepDuration;
}

interface Approval {
  approved: boolean;
  editor: string;
  comment?: string;
}

type Outcome = { published: true; url: string; editor: string } | { published: false; why: string };

export class ContentPublishing extends WorkflowEntrypoint<unknown, Draft> {
  async run({ payload: draft }: WorkflowEvent<Draft>, step: WorkflowStep): Promise<Outcome> {
    const { words } = await step.do("check the draft", async () => check(draft));
    const { payload: approval } = await step.waitForEvent<Approval>("wait for approval", {
      type: "approval",
      timeout: draft.patience ?? "7 days",
    });
    if (!approval.approved) return { published: false, why: approval.comment ?? "declined" };
    const page = await step.do("render", async () => render(draft, words));
    const url = await step.do(
      "publish",
      { retries: { limit: 4, delay: 200, backoff: "linear" } },
      async ({ attempt }) => upload(page, attempt, draft.cdnFailures ?? 1),
    );
    return { published: true, url, editor: approval.editor };
  }
}

function check({ title, body }: Draft): { words: number } {
  if (!title) throw new NonRetryableError("a draft needs a title");
  return { words: body.split(/\s+/).filter(Boolean).length };
}

function render({ title, body }: Draft, words: number): { slug: string; html: string } {
  const slug = title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return { slug, html: `<h1>${title}</h1><p>${body}</p><footer>${words} words</footer>` };
}

function upload({ slug }: { slug: string }, attempt: number, failures: number): string {
  if (attempt <= failures) throw new Error(`the CDN answered 502 at attempt ${attempt}`);
  return `https://example.com/${slug}`;
}

export default {
  async fetch(): Promise<Response> {
    return new Response("Start the workflow content-publishing through Flowflare.\n");
  },
} satisfies ExportedHandler;
