// Quantiles, confidence intervals of ratios, and reproducible random numbers.

const RESAMPLES = 2_000;

/**
 * Compute a quantile by linear interpolation.
 * @param {number[]} values
 * @param {number} fraction 0.5 for the median
 */
export function quantile(values, fraction) {
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * fraction;
  const low = sorted[Math.floor(at)];
  return low + (sorted[Math.ceil(at)] - low) * (at - Math.floor(at));
}

/**
 * Compute the 95 % interval of median(a) / median(b) by bootstrap. It draws whole rounds, the same
 * for both sides, because the samples of a round met the same load of the machine.
 * @param {number[][]} a samples by round
 * @param {number[][]} b samples of the same rounds
 * @param {() => number} random
 * @returns {[number, number]}
 */
export function ratioInterval(a, b, random) {
  const ratios = [];
  for (let i = 0; i < RESAMPLES; i += 1) {
    const rounds = a.map(() => Math.floor(random() * a.length));
    const above = quantile(
      rounds.flatMap((round) => a[round]),
      0.5,
    );
    ratios.push(
      above /
        quantile(
          rounds.flatMap((round) => b[round]),
          0.5,
        ),
    );
  }
  return [quantile(ratios, 0.025), quantile(ratios, 0.975)];
}

/**
 * Put values into a random order.
 * @template T
 * @param {T[]} values
 * @param {() => number} random
 * @returns {T[]} a new array
 */
export function shuffled(values, random) {
  return values
    .map((value) => ({ value, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}

/**
 * Create a generator of random numbers that are the same in every run (mulberry32).
 * @param {number} state
 */
export function randomNumbers(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
