import './petrel-console.mjs';
import { WorkerEntrypoint } from 'cloudflare:workers';
import * as user from '$ENTRY';

const main = user.$HANDLER;
const isClass = typeof main === 'function' && /^class\b/.test(Function.prototype.toString.call(main));
const answers =
  typeof (isClass ? main.prototype : main)?.fetch === 'function' || (typeof main === 'function' && !isClass);

const text = (error) => `${error?.name ?? 'Error'}: ${error?.message ?? error}`;

/** The 500 that every runtime answers with when a handler fails. */
function failed(request, error) {
  const requestId = request.headers.get('x-request-id') ?? '';
  const stack = String(error?.stack ?? text(error));
  console.error(`petrel: request ${requestId} failed: ${stack}`);
  const body = { component: 'function', reason: 'function_error', requestId };
  if ($DEVELOPMENT) Object.assign(body, { message: text(error), stack });
  return Response.json(body, { status: 500 });
}

/** Answers instead of `run` when that fails. */
async function guarded(request, run) {
  try {
    return await run();
  } catch (error) {
    return failed(request, error);
  }
}

function handlerOf() {
  if (!answers) return {};
  if (isClass)
    return class extends main {
      fetch(request) {
        return guarded(request, () => super.fetch(request));
      }
    };
  const call = typeof main === 'function' ? main : (...all) => main.fetch(...all);
  return { fetch: (request, env, ctx) => guarded(request, () => call(request, env, ctx)) };
}
export default handlerOf();

export class PetrelProbe extends WorkerEntrypoint {
  exports() {
    const found = Object.entries(user).map(
      ([name, value]) => `${name} (${value === null ? 'null' : typeof value})`,
    );
    return { answers, found };
  }
}
