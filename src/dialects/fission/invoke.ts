/** Calls of functions by triggers: through the gateway, as a client would. */

import { sleep } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { Agent, request as httpRequest } from '../../base/http.ts';
import { reachableHost } from '../../base/reachable.ts';
import type { Context } from './context.ts';
import type { FunctionReference } from './model.ts';

export interface Call {
  namespace: string;
  reference: FunctionReference;
  method: string;
  /** Begins with `/`. */
  path: string;
  headers: Record<string, string>;
  body?: string;
}

export interface Invoker {
  /** Resolves when it has been answered, or given up; failures are logged. */
  invoke(call: Call): Promise<void>;
  stop(): void;
}

/** Attempts where nobody answers, or the route is not there yet. Source: Fission's trigger publisher. */
const ATTEMPTS = 6;
const FIRST_DELAY_MS = 500;

/** One of the weighted functions, or the one that is named, as the router's path has it. */
export function addressOf(
  { type, name = '', alias, version, functionweights }: FunctionReference,
  random: number,
): string {
  if (type !== 'function-weights') return alias || version ? `${name}:${alias || version}` : name;
  const weights = Object.entries(functionweights ?? {});
  let left = random * weights.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [fn, weight] of weights) {
    left -= weight;
    if (left < 0) return fn;
  }
  return weights.at(-1)?.[0] ?? '';
}

/** `own`: fields of every call. */
export function createInvoker(
  { gateway, clock, log }: Context,
  own: () => Record<string, string>,
  random: () => number = Math.random,
): Invoker {
  const stopping = new AbortController();
  const agent = new Agent({ keepAlive: false });

  const attempt = (call: Call): Promise<number> => {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const address = addressOf(call.reference, random());
    const outgoing = httpRequest(
      {
        host: reachableHost(gateway.address.host),
        port: gateway.address.port,
        agent,
        signal: stopping.signal,
        method: call.method,
        path: `/fission-function/${call.namespace}/${address}${call.path === '/' ? '' : call.path}`,
        headers: {
          ...call.headers,
          ...own(),
          ...(call.body === undefined ? {} : { 'content-length': Buffer.byteLength(call.body) }),
        },
      },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(call.body);
    return promise;
  };

  return {
    async invoke(call) {
      const fn = `${call.namespace}/${addressOf(call.reference, 0)}`;
      for (let failures = 1; ; failures++) {
        let problem: string;
        try {
          const status = await attempt(call);
          if (status < 400) return;
          problem = `it answered ${status}`;
          // A function that failed has had its chance.
          if (status !== 404) return log.warn('a triggered function failed', { function: fn, problem });
        } catch (error) {
          if (stopping.signal.aborted) return;
          problem = messageOf(error);
        }
        if (failures === ATTEMPTS)
          return log.warn('a triggered function could not be called', { function: fn, problem });
        await sleep(clock, FIRST_DELAY_MS * 2 ** (failures - 1), stopping.signal);
        if (stopping.signal.aborted) return;
      }
    },
    stop() {
      stopping.abort();
      agent.destroy();
    },
  };
}
