// The one alarm that a Durable Object has, shared by all that is due at some time.

export class Alarm {
  #storage;
  /** @type {number | null | undefined} when it is due; undefined until the storage was read */
  #dueAt;

  /** @param {DurableObjectStorage} storage */
  constructor(storage) {
    this.#storage = storage;
  }

  /** Note that the alarm has fired: nothing is due until it is scheduled again. */
  fired() {
    this.#dueAt = null;
  }

  /**
   * Have the alarm fire at a time, or before.
   * @param {number} at milliseconds since 1970
   */
  async schedule(at) {
    if (this.#dueAt === undefined) {
      const stored = await this.#storage.getAlarm();
      // Another call may have scheduled it meanwhile.
      if (this.#dueAt === undefined) this.#dueAt = stored;
    }
    if (this.#dueAt !== null && this.#dueAt <= at) return;
    this.#dueAt = at;
    // Nothing that is sent depends on it, so nothing waits until it is durable.
    await this.#storage.setAlarm(at, { allowUnconfirmed: true });
  }
}
