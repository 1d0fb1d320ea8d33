import unsafe from 'workerd:unsafe-eval';

/** The function that this isolate was made for before it was known which it would be. */
const given = { source: '', entry: '', name: '', development: false, env: {} };
const exported = {};
let main;

for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace']) {
  const write = console[method].bind(console);
  console[method] = (...values) => write(`[${given.name}]`, ...values);
}

/** Called from a module's evaluation, so that the function's own top level is under its rules: no timers, no requests. */
export function evaluate() {
  unsafe.newFunction(given.source, given.entry, '$petrel').call(undefined, exported);
}
// What is compiled at first use is now.
unsafe.newFunction('"use strict";', 'petrel', '$petrel').call(undefined, exported);

export default {
  fetch(request, _, ctx) {
    const run =
      typeof main === 'function'
        ? () => main(request, given.env, ctx)
        : () => main.fetch(request, given.env, ctx);
    return guarded(request, run, given.development);
  },
};

export const PetrelProbe = {
  async fetch(request) {
    if (request.method === 'DELETE') await end();
    if (request.method === 'POST') {
      Object.assign(given, await request.json());
      await import('./petrel-late.mjs');
      main = exported.d;
      const answers = typeof main === 'function' ? !isClass(main) : typeof main?.fetch === 'function';
      if (!answers) return new Response(null, { status: 404 });
    }
    return new Response(null, { status: 204 });
  },
};
