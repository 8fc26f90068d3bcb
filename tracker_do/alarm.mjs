// The one alarm of a Durable Object, for all that has to happen at a time.

export class Alarm {
  #storage;
  /** @type {number | null | undefined} when it is due; undefined until it was asked */
  #at;

  /** @param {DurableObjectStorage} storage */
  constructor(storage) {
    this.#storage = storage;
  }

  /** It rings now: nothing is due until it is set again. */
  rings() {
    this.#at = null;
  }

  /**
   * Have it ring at a time, or before.
   * @param {number} at milliseconds since 1970
   */
  async by(at) {
    if (this.#at === undefined) {
      const stored = await this.#storage.getAlarm();
      // Somebody else may have set it meanwhile.
      if (this.#at === undefined) this.#at = stored;
    }
    if (this.#at !== null && this.#at <= at) return;
    this.#at = at;
    // Nothing that is sent depends on it, so nothing waits until it is durable.
    await this.#storage.setAlarm(at, { allowUnconfirmed: true });
  }
}
