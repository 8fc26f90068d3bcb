/** The Workflow of plain/, whose runs report to the service as well. Its routes are those of plain/. */

import type { WorkflowEvent, WorkflowStep } from "cloudflare:workers";
import { trackWorkflow } from "@flowflare/client";
import { Plain } from "../plain/worker.mjs";

export { default } from "../plain/worker.mjs";

export class Wrapped extends Plain {
  override async run(event: WorkflowEvent<any[][]>, step: WorkflowStep): Promise<unknown> {
    return trackWorkflow(this.env, event, step, (tracked) => super.run(event, tracked));
  }
}
