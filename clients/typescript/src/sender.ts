/**
 * Delivers reports in order and in the background, several in one call. It never throws, and lets
 * the workflow wait no longer than asked: while the service is away the reports are queued, within
 * limits, and sent again.
 *
 * If the service follows the instance, it has the reports from the engine's history. They are then
 * held in the queue until the service is asked again: reports that are still not needed are
 * dropped, the others sent.
 */

import type { Connection } from "./connection.ts";
import {
  ForbiddenError,
  InvalidInputError,
  RequestError,
  RunMismatchError,
  UnauthenticatedError,
  isTemporary,
  refusedError,
} from "./errors.ts";
import type { FlowflareError, Refusal } from "./errors.ts";
import { byteLength } from "./json.ts";
import { Known } from "./plan.ts";
import type { Entry, History } from "./plan.ts";
import type { StepName } from "./step-names.ts";
import { hasStack, shortened, updateText } from "./updates.ts";
import type { Update } from "./updates.ts";
import { backoff, cancel } from "./timers.ts";
import type { Timer } from "./timers.ts";

/** Most updates of one call: `MAX_BATCH_ITEMS` in docs/limits.md. */
const MAX_BATCH_ITEMS = 100;
/** Most bytes of the updates of one call; a request may have 2 MiB (`MAX_BODY_BYTES`). */
const MAX_BATCH_BYTES = 1_500_000;
/** Most reports in the queue; past that the oldest is dropped. */
const MAX_WAITING = 5000;
/** Most bytes of the values in the queue; past that, values are cut to a preview. */
const MAX_WAITING_BYTES = 8_000_000;
/** Time that the end of a step waits for the next report, to travel in one call. */
const LINGER_MS = 250;
/** Time after which the service is asked again whether it follows the instance. */
const HOLD_MS = 30_000;

const TRACK = `mutation Track($updates: [TrackingUpdate!]!) {
  track(updates: $updates) {
    __typename
    ... on TrackPayload { followed }
    ... on InvalidInput { path }
    ... on RunMismatch { run }
    ... on Error { code message }
  }
}`;

interface Waiting {
  readonly entry: Entry;
  readonly bytes: number;
}

export class Sender {
  readonly #connection: Connection;
  readonly #load: () => Promise<Known>;
  readonly #ask: (() => Promise<History>) | undefined;
  #known: Known | undefined;
  #queue: Waiting[] = [];
  #sending: Waiting[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #failures = 0;
  #dropped = 0;
  #problem: string | undefined;
  #refused: string | undefined;
  #stopped = false;
  // When the service last said that it has the history, the reports dropped since then, and how
  // often its first part was waited for.
  #followedAt = 0;
  #spilled = 0;
  #waits = 0;
  #isEnding = false;

  /**
   * `load` reads the service's record before the first report is sent, `ask` its part on the
   * engine's history. Without `ask` all reports are sent.
   */
  constructor(connection: Connection, load: () => Promise<Known>, ask?: () => Promise<History>) {
    this.#connection = connection;
    this.#load = load;
    this.#ask = ask;
  }

  /** Queue a report. It is sent together with later ones, at the latest after LINGER_MS. */
  add(entry: Entry, { soon = false } = {}): void {
    if (this.#stopped) this.#dropped++;
    if (this.#stopped || this.#isOld(entry)) return;
    const waiting = this.#fitting(entry);
    this.#queue.push(waiting);
    this.#bytes += waiting.bytes;
    this.#bound();
    if (this.#isHolding && !isUrgent(waiting)) this.#schedule(this.#holdMs);
    else this.#schedule(soon ? 0 : LINGER_MS);
  }

  /** True if the service has the end of a step. */
  knowsEndOf(step: StepName): boolean {
    return this.#known?.hasEnded(step) ?? false;
  }

  /**
   * Wait until everything is delivered, at most `limitMs`; true if it is. With `isEnd` no report is
   * held any more.
   */
  async flush(limitMs: number, { isEnd = false } = {}): Promise<boolean> {
    this.#isEnding ||= isEnd;
    if (this.#isDelivered) return true;
    this.#begin();
    this.#wake?.();
    let timer: Timer | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    const done = (async () => {
      while (!this.#isDelivered) {
        this.#begin();
        await this.#running;
      }
    })();
    await Promise.race([done, limit]);
    cancel(timer);
    return this.#isDelivered;
  }

  /** Stop, and drop the reports that wait; `reason` is for the log. */
  drop(reason: string): void {
    if (!this.#isDelivered) this.#problem = reason;
    this.#stop();
  }

  /** Stop, and return one line about undelivered reports; undefined if there are none. */
  close(): string | undefined {
    this.#stop();
    const undelivered = this.#dropped;
    if (undelivered === 0 && this.#problem === undefined) return undefined;
    const reason = this.#problem ?? "the service did not answer in time";
    return undelivered === 0
      ? reason
      : `${undelivered} report(s) could not be delivered: ${reason}`;
  }

  get #isDelivered(): boolean {
    return this.#stopped || (this.#sending.length === 0 && !this.#isDue);
  }

  /** True if a report in the queue is to be sent now. */
  get #isDue(): boolean {
    if (this.#queue.length === 0) return false;
    return !this.#isHolding || this.#isEnding || this.#holdMs <= 0 || this.#queue.some(isUrgent);
  }

  get #isHolding(): boolean {
    return this.#ask !== undefined && this.#known !== undefined && this.#known.history !== "none";
  }

  get #holdMs(): number {
    return this.#followedAt + HOLD_MS - Date.now();
  }

  // Most reports of a long run's replay are recorded already; dropping them here saves memory.
  #isOld(entry: Entry): boolean {
    const known = this.#known;
    const isIdle = this.#queue.length === 0 && this.#sending.length === 0;
    return known !== undefined && isIdle && known.news(entry).length === 0;
  }

  #fitting(entry: Entry): Waiting {
    const bytes = sizeOf(entry);
    if (this.#bytes + bytes <= MAX_WAITING_BYTES) return { entry, bytes };
    const cut = { ...entry, updates: entry.updates.map((update) => shortened(update) ?? update) };
    return { entry: cut, bytes: sizeOf(cut) };
  }

  #bound(): void {
    if (this.#queue.length <= MAX_WAITING) return;
    // The report that creates the instance is kept.
    const [dropped] = this.#queue.splice(this.#queue[0]?.entry.begins ? 1 : 0, 1);
    this.#bytes -= dropped?.bytes ?? 0;
    this.#dropped++;
    this.#spilled++;
  }

  #schedule(delayMs: number): void {
    const dueAt = Date.now() + delayMs;
    if (dueAt >= this.#dueAt) return;
    cancel(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => this.#begin(), delayMs);
  }

  #begin(): void {
    cancel(this.#timer);
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#running ??= this.#deliver().finally(() => {
      this.#running = undefined;
    });
  }

  async #deliver(): Promise<void> {
    while (!this.#isDelivered) {
      try {
        const known = this.#known ?? (await this.#begun());
        if (!this.#isHolding) await this.#deliverBatch(known);
        else if (this.#isDue) await this.#settle(known);
        this.#failures = 0;
        this.#problem = this.#refused;
      } catch (error) {
        this.#problem = oneLine(error);
        if (!isTemporary(error)) return this.#stop();
        await this.#pause(backoff(this.#failures++));
      }
    }
    if (this.#isHolding && this.#queue.length > 0) this.#schedule(this.#holdMs);
  }

  async #begun(): Promise<Known> {
    this.#known = await this.#load();
    this.#followedAt = Date.now();
    return this.#known;
  }

  /**
   * Ask whether the service still has the history; if a stack is to be sent, its answer says that,
   * too. The reports before the stack are sent as well, in case they are needed. If it has the
   * history, drop the reports that are left, except stacks.
   */
  async #settle(known: Known): Promise<void> {
    const sendsStack = known.history === "recorded" && this.#queue.some(isUrgent);
    const isAnswered = sendsStack && (await this.#deliverBatch(known));
    if (!isAnswered) known.history = await this.#ask!();
    if (known.history === "awaited") return this.#pause(backoff(this.#waits++) / 5);
    this.#followedAt = Date.now();
    if (known.history === "recorded") {
      for (const waiting of this.#queue.filter((one) => !isUrgent(one))) {
        for (const update of known.news(waiting.entry)) known.note(update);
        this.#bytes -= waiting.bytes;
      }
      this.#queue = this.#queue.filter(isUrgent);
      this.#dropped -= this.#spilled;
    }
    this.#spilled = 0;
  }

  /** Send the head of the queue, as many reports as fit into one call; false if none is new. */
  async #deliverBatch(known: Known): Promise<boolean> {
    const draft = known.copy();
    const updates: Update[] = [];
    let taken = 0;
    let bytes = 0;
    for (const { entry } of this.#queue) {
      const news = draft.news(entry);
      const size = news.reduce((sum, update) => sum + byteLength(updateText(update)), 0);
      const isFull =
        updates.length + news.length > MAX_BATCH_ITEMS || bytes + size > MAX_BATCH_BYTES;
      if (isFull && updates.length > 0) break;
      for (const update of news) draft.note(update);
      updates.push(...news);
      bytes += size;
      taken++;
    }
    this.#sending = this.#queue.splice(0, taken);
    try {
      await this.#track(updates, known);
      for (const sent of this.#sending) this.#bytes -= sent.bytes;
      return updates.length > 0;
    } catch (error) {
      this.#queue.unshift(...this.#sending);
      throw error;
    } finally {
      this.#sending = [];
    }
  }

  /** Send updates, without those that are refused. A batch is applied as a whole or not at all. */
  async #track(updates: readonly Update[], known: Known): Promise<void> {
    if (updates.length === 0) return;
    const refusal = await this.#refusal(updates, known);
    if (!refusal) {
      for (const update of updates) known.note(update);
      return;
    }
    // The next run has begun, so everything that is left would be refused.
    if (refusal instanceof RunMismatchError) throw refusal;
    const [first, ...others] = updates;
    if (first && others.length === 0) {
      const amended = amendment(first, refusal);
      if (amended) return this.#track([amended], known);
      this.#dropped++;
      this.#refused = oneLine(refusal);
      return;
    }
    const middle = Math.ceil(updates.length / 2);
    await this.#track(updates.slice(0, middle), known);
    await this.#track(updates.slice(middle), known);
  }

  async #refusal(updates: readonly Update[], known: Known): Promise<FlowflareError | undefined> {
    const variables = `{"updates":[${updates.map(updateText).join(",")}]}`;
    try {
      const data = (await this.#connection.request(TRACK, variables)) as {
        track: Refusal | { followed?: boolean };
      };
      if ("code" in data.track) return refusedError(data.track);
      if (!data.track.followed) known.history = "none";
      else if (known.history === "none") {
        // The first part of the history has just been recorded.
        known.history = "recorded";
        this.#followedAt = Date.now();
      }
      return undefined;
    } catch (error) {
      const isRefusal = error instanceof RequestError && !isTemporary(error) && !isDenial(error);
      if (isRefusal) return error;
      throw error;
    }
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        cancel(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #stop(): void {
    // Held reports are in the history.
    if (!this.#isDelivered) this.#dropped += this.#queue.length + this.#sending.length;
    this.#stopped = true;
    this.#queue = [];
    cancel(this.#timer);
    this.#wake?.();
  }
}

// After these errors no request will succeed.
function isDenial(error: RequestError): boolean {
  return error instanceof UnauthenticatedError || error instanceof ForbiddenError;
}

/** True for a report that the service needs even if it follows the instance. */
function isUrgent({ entry }: Waiting): boolean {
  return entry.updates.some(hasStack);
}

/** An update changed so that the service may accept it. */
function amendment(update: Update, refusal: FlowflareError): Update | undefined {
  if (!(refusal instanceof InvalidInputError)) return undefined;
  const field = refusal.path.at(-1) ?? "";
  if (["input", "output", "metadata"].includes(field)) return shortened(update);
  // The index is only informative, so the step is recorded without it.
  if ("step" in update && update.step.index !== undefined && field === "index") {
    const { index: _, ...step } = update.step;
    return { step };
  }
  return undefined;
}

function sizeOf({ updates, begins }: Entry): number {
  const own = begins ? byteLength(updateText({ instance: begins })) : 0;
  return updates.reduce((sum, update) => sum + byteLength(updateText(update)), own);
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.replaceAll(/\s+/g, " ").slice(0, 300);
}
