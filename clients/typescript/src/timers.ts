/** Timers, whichever type the runtime's types give them. */

export type Timer = ReturnType<typeof setTimeout>;

/** Cancel a timer, if there is one. */
export function cancel(timer: Timer | undefined): void {
  if (timer !== undefined) clearTimeout(timer);
}
