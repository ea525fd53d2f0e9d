/**
 * The rules by which the server misbehaves. Of the actions that decide the answer, one strikes a request: the first
 * whose rule matches and is not spent, so that rules added in a row strike in a row. The others all strike.
 */
import type { FaultAction, FaultMatch, FaultRule } from './api.js';

interface Armed {
  readonly rule: FaultRule;
  left: number;
  skip: number;
}

export type Deciding = Extract<FaultAction, { kind: 'error' | 'reset' | 'truncate' | 'stall' | 'error-in-200' }>;

export interface Strike {
  readonly deciding?: Deciding;
  readonly others: ReadonlyArray<Exclude<FaultAction, Deciding>>;
}

const nothing: Strike = { others: [] };

export class Faults {
  #armed: Armed[] = [];

  /** `random`: 0 to 1. */
  constructor(readonly random: () => number) {}

  add(rule: FaultRule): void {
    this.#armed.push({ rule, left: rule.times ?? Number.POSITIVE_INFINITY, skip: rule.skip ?? 0 });
  }

  clear(): void {
    this.#armed = [];
  }

  strike(operation: string, key: string): Strike {
    if (this.#armed.length === 0) return nothing;
    let deciding: Deciding | undefined;
    const others: Array<Exclude<FaultAction, Deciding>> = [];
    for (const armed of this.#armed) {
      const { action, match } = armed.rule;
      const decides = isDeciding(action);
      if ((decides && deciding) || armed.left === 0 || !matches(match, operation, key)) continue;
      if (armed.skip > 0) armed.skip--;
      else if (this.random() < (armed.rule.probability ?? 1)) {
        armed.left--;
        if (decides) deciding = action;
        else others.push(action);
      }
    }
    this.#armed = this.#armed.filter(({ left }) => left > 0);
    return { deciding, others };
  }
}

function isDeciding(action: FaultAction): action is Deciding {
  return ['error', 'reset', 'truncate', 'stall', 'error-in-200'].includes(action.kind);
}

function matches(match: FaultMatch, operation: string, key: string): boolean {
  const operations = typeof match.operation === 'string' ? [match.operation] : match.operation;
  if (operations && !operations.includes(operation)) return false;
  if (match.key === undefined) return true;
  // search, not test: a pattern with the g flag must not remember where it was.
  return typeof match.key === 'string' ? match.key === key : key.search(match.key) >= 0;
}
