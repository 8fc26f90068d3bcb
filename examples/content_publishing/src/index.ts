/**
 * Content publishing: a draft is checked, waits for an editor, and goes out.
 *
 * Input: `{ "title", "body", "cdnFailures": 1, "patience": "7 days" }`. The editor answers with
 * `sendWorkflowEvent`, type `approval`, payload `{ "approved": true, "editor": "…" }`.
 */

import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";
import { trackWorkflow } from "@flowflare/client";

interface Env {
  FLOWFLARE: Fetcher;
  CONTENT_PUBLISHING: Workflow;
}

interface Draft {
  title: string;
  body: string;
  /** How often the CDN, which stands here for anything flaky, fails before it works. */
  cdnFailures?: number;
  /** How long the editor has. */
  patience?: WorkflowSleepDuration;
}

interface Approval {
  approved: boolean;
  editor: string;
  comment?: string;
}

type Outcome = { published: true; url: string; editor: string } | { published: false; why: string };

export class ContentPublishing extends WorkflowEntrypoint<Env, Draft> {
  async run(event: WorkflowEvent<Draft>, step: WorkflowStep): Promise<Outcome> {
    return trackWorkflow(this.env, event, step, (step) => this.publishing(event.payload, step));
  }

  private async publishing(draft: Draft, step: WorkflowStep): Promise<Outcome> {
    const { words } = await step.do("check the draft", async () => check(draft));
    const { payload: answer } = await step.waitForEvent<Approval>("wait for approval", {
      type: "approval",
      timeout: draft.patience ?? "7 days",
    });
    if (!answer.approved) return { published: false, why: answer.comment ?? "declined" };
    const page = await step.do("render", async () => render(draft, words));
    const url = await step.do(
      "publish",
      { retries: { limit: 4, delay: 200, backoff: "linear" } },
      async ({ attempt }) => publish(page, attempt, draft.cdnFailures ?? 1),
    );
    return { published: true, url, editor: answer.editor };
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

function publish({ slug }: { slug: string }, attempt: number, failures: number): string {
  if (attempt <= failures) throw new Error(`the CDN answered 502 at attempt ${attempt}`);
  return `https://example.com/${slug}`;
}

export default {
  async fetch(): Promise<Response> {
    return new Response("Start the workflow content-publishing through Flowflare.\n");
  },
} satisfies ExportedHandler<Env>;
