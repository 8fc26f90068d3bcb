// Authorization headers that were found valid: a body is read only for these, so that strangers cost
// little. Python still checks the key of each request.

export class KnownCallers {
  #validUntil;
  #size;
  /** @type {Map<string, number>} seconds since 1970, by header */
  #known = new Map();

  /**
   * @param {(authorization: string) => number} validUntil until when a header is valid, in seconds since
   *   1970; 0 if it is not
   * @param {number} size how many headers to remember
   */
  constructor(validUntil, size) {
    this.#validUntil = validUntil;
    this.#size = size;
  }

  /**
   * True if a header is valid. Python is called only for one that was not seen before.
   * @param {string} authorization
   */
  has(authorization) {
    let until = this.#known.get(authorization);
    if (until === undefined) {
      until = this.#validUntil(authorization);
      if (until === 0) return false;
      if (this.#known.size >= this.#size) this.#known.clear();
      this.#known.set(authorization, until);
    }
    return until > Date.now() / 1000;
  }
}
