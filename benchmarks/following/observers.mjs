// Two observers of instances: a subscriber of the service, and a reader of the engine's histories.

import { WebSocket } from "ws";
import { WrongAnswer } from "../measure.mjs";
import { KEY } from "../workers.mjs";

const OPEN_DEADLINE_MS = 20_000;
const ARRIVAL_DEADLINE_MS = 120_000;

const SUBSCRIPTION = `subscription Watch($filter: EventFilter) {
  workflowEvents(filter: $filter) {
    events { type at instance { instanceId } step { name } }
  }
}`;

/**
 * An event that both observers report, and when it arrived.
 * @typedef {{ id: string, name: string, at: number, arrivedAt: number }} Arrival
 */

/** The events that are compared, by their names at the service and at the engine. */
const OF_SERVICE = new Map([
  ["STEP_STARTED", "started"],
  ["STEP_COMPLETED", "completed"],
  ["INSTANCE_COMPLETED", "ended"],
]);
const OF_ENGINE = new Map([
  ["sleep_started", "started"],
  ["sleep_completed", "completed"],
  ["step_started", "started"],
  ["step_completed", "completed"],
  ["workflow_completed", "ended"],
]);

class Observer {
  /** @type {Arrival[]} */
  arrivals = [];
  /** @type {Map<string, Set<string>>} the instances from which an event of a name has arrived */
  #arrived = new Map();
  #socket;
  /** @type {Error | undefined} */
  #error;
  #isClosing = false;
  #wake = () => {};

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on("message", (/** @type {Buffer} */ data) => {
      const now = performance.timeOrigin + performance.now();
      try {
        this.receive(JSON.parse(data.toString()), now);
      } catch (error) {
        this.#fail(/** @type {Error} */ (error));
      }
      this.#wake();
    });
    socket.on("close", (code, reason) => {
      if (!this.#isClosing) this.#fail(new WrongAnswer(`A socket closed with ${code} ${reason}`));
    });
    socket.on("error", (error) => this.#fail(error));
  }

  /**
   * Handle a frame.
   * @param {any} _frame
   * @param {number} _now
   */
  receive(_frame, _now) {}

  /**
   * @param {Arrival} arrival
   */
  add(arrival) {
    this.arrivals.push(arrival);
    const ids = this.#arrived.get(arrival.name) ?? new Set();
    this.#arrived.set(arrival.name, ids.add(arrival.id));
  }

  /**
   * Wait until an event of this name has arrived from each instance.
   * @param {string[]} ids of the instances
   * @param {string} name
   */
  async untilArrived(ids, name) {
    const missing = () => ids.filter((id) => !this.#arrived.get(name)?.has(id)).length;
    await this.until(
      () => missing() === 0,
      ARRIVAL_DEADLINE_MS,
      () => `"${name}" of ${missing()} of ${ids.length} instances has not arrived.`,
    );
  }

  /** @param {unknown} frame */
  send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  /**
   * Wait until a condition holds after a frame.
   * @param {() => boolean} condition
   * @param {number} deadlineMs
   * @param {() => string} describe what is missing, for the error
   */
  async until(condition, deadlineMs, describe) {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      if (this.#error) throw this.#error;
      if (condition()) return;
      const left = deadline - performance.now();
      if (left <= 0) throw new WrongAnswer(describe());
      /** @type {NodeJS.Timeout | undefined} */
      let timer;
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }

  close() {
    this.#isClosing = true;
    this.#socket.terminate();
  }

  /** @param {Error} error */
  #fail(error) {
    this.#error ??= error;
    this.#wake();
  }
}

/** A client that subscribes to the events of a workflow at the service. */
export class Subscriber extends Observer {
  #isAcknowledged = false;

  /**
   * @param {URL} url of the service
   * @param {string} workflow
   */
  static async open(url, workflow) {
    const socket = await connect(new URL("/graphql", url), ["graphql-transport-ws"]);
    const subscriber = new Subscriber(socket);
    subscriber.send({ type: "connection_init", payload: { authorization: `Bearer ${KEY}` } });
    await subscriber.until(
      () => subscriber.#isAcknowledged,
      OPEN_DEADLINE_MS,
      () => "The service has not acknowledged the connection.",
    );
    const variables = { filter: { workflow: [workflow] } };
    subscriber.send({ id: "1", type: "subscribe", payload: { query: SUBSCRIPTION, variables } });
    return subscriber;
  }

  /**
   * @param {any} frame
   * @param {number} arrivedAt
   */
  receive(frame, arrivedAt) {
    if (frame.type === "connection_ack") this.#isAcknowledged = true;
    else if (frame.type === "ping") this.send({ type: "pong" });
    else if (frame.type !== "next" || frame.payload.errors) {
      throw new WrongAnswer(`The service sent ${JSON.stringify(frame)}`);
    } else {
      for (const { type, at, instance, step } of frame.payload.data.workflowEvents.events) {
        const event = OF_SERVICE.get(type);
        if (event === undefined) continue;
        const name = step ? `${step.name} ${event}` : event;
        this.add({ id: instance.instanceId, name, at: Date.parse(at), arrivedAt });
      }
    }
  }
}

/** A client of the Worker that forwards the engine's histories. */
export class Reader extends Observer {
  /** @param {URL} url of the Worker */
  static async open(url) {
    return new Reader(await connect(url, []));
  }

  /**
   * @param {any} event
   * @param {number} arrivedAt
   */
  receive({ id, type, at, step }, arrivedAt) {
    const event = OF_ENGINE.get(type);
    if (event === undefined) return;
    // The engine appends the occurrence to the name.
    const name = step ? `${step.replace(/-1$/, "")} ${event}` : event;
    this.add({ id, name, at, arrivedAt });
  }
}

/**
 * @param {URL} url
 * @param {string[]} protocols
 * @returns {Promise<WebSocket>}
 */
function connect(url, protocols) {
  const socket = new WebSocket(url.href.replace("http", "ws"), protocols, {
    perMessageDeflate: false,
    handshakeTimeout: OPEN_DEADLINE_MS,
  });
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });
}
