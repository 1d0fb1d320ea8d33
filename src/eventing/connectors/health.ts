/** How a source goes: its connection and what waits, which change at different times and are told together. */
import type { SourceContext } from '../sources/contract.ts';

export class Health {
  #state = { ready: false, reason: 'Starting', message: 'not yet connected' };
  #lag: number | undefined;
  readonly #report: SourceContext<unknown>['report'];

  constructor(context: Pick<SourceContext<unknown>, 'report'>) {
    this.#report = context.report;
  }

  readonly state = (state: { ready: boolean; reason: string; message: string }): void => {
    this.#state = state;
    this.#tell();
  };

  readonly lag = (waiting: number): void => {
    if (waiting === this.#lag) return;
    this.#lag = waiting;
    this.#tell();
  };

  #tell(): void {
    this.#report(this.#lag === undefined ? this.#state : { ...this.#state, lag: this.#lag });
  }
}
