/** What a suite came to: how much passed, and what did not, one line each. */
export interface Outcome {
  readonly passed: number;
  readonly problems: readonly string[];
}
