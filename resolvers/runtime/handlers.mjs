// The runtime's convention for calling a handler that it takes for a Python function (Pyodide 314;
// workerd 1.20261117, 2026-11-22). A JavaScript function that follows it can take the place of a
// Python handler, which saves a call of Python for each request or message.

/**
 * Make a function that the runtime can call in place of a Python handler.
 * @template {any[]} Values
 * @template Result
 * @param {(...values: Values) => Result} handle
 */
export function asPythonHandler(handle) {
  return Object.assign((/** @type {Values} */ ...values) => handle(...values), {
    callWithOptions: (/** @type {unknown} */ _options, /** @type {Values} */ ...values) =>
      handle(...values),
    callRelaxed: handle,
  });
}
