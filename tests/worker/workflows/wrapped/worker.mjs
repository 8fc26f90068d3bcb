/** The Workflow of plain/, whose runs report to the service as well. Its routes are those of plain/. */

import { trackWorkflow } from "@flowflare/client";
import { Plain } from "../plain/worker.mjs";

export { default } from "../plain/worker.mjs";

export class Wrapped extends Plain {
  /**
   * @param {import("cloudflare:workers").WorkflowEvent<any[][]>} event
   * @param {import("cloudflare:workers").WorkflowStep} step
   */
  async run(event, step) {
    return trackWorkflow(this.env, event, step, (tracked) => super.run(event, tracked));
  }
}
