// @ts-check
'use strict';
/** So many requests at a time, the others in the order they came in. */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

const { refuse } = require('../../node/lib/answer.cjs');

/** Requests that may wait. */
const MAX_WAITING = 1024;

/**
 * @param {number} limit at work at a time
 * @param {(exchange: ExchangeType, over: () => void) => void} begin works on one; `over` when its place is free again
 * @returns {(exchange: ExchangeType) => void}
 */
function turns(limit, begin) {
  let running = 0;
  /** @type {Set<ExchangeType>} */
  const waiting = new Set();
  const start = (/** @type {ExchangeType} */ exchange) => {
    running++;
    begin(exchange, () => {
      running--;
      const [next] = waiting;
      if (next === undefined) return;
      waiting.delete(next);
      start(next);
    });
  };
  return (exchange) => {
    if (exchange.header('upgrade') !== undefined && exchange.header('connection') === 'upgrade')
      refuse(
        exchange,
        501,
        'upgrade_not_supported',
        'What is started for one request has no notion of an upgrade. Run it as a program on $PORT.',
      );
    else if (running < limit) start(exchange);
    else if (waiting.size >= MAX_WAITING)
      exchange.reset('overloaded', `${running} requests are worked on and ${waiting.size} wait`);
    else {
      waiting.add(exchange);
      exchange.onabort(() => waiting.delete(exchange));
    }
  };
}

module.exports = { turns };
