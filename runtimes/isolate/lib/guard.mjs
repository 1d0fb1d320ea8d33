/** What both kinds of main module have in common; put in front of either as text, since every further module takes time to load. */
const text = (error) => `${error?.name ?? 'Error'}: ${error?.message ?? error}`;

/** The 500 that every runtime answers with when a handler fails. */
function failed(request, error, development) {
  const requestId = request.headers.get('x-request-id') ?? '';
  const stack = String(error?.stack ?? text(error));
  console.error(`petrel: request ${requestId} failed: ${stack}`);
  const body = { component: 'function', reason: 'function_error', requestId };
  if (development) Object.assign(body, { message: text(error), stack });
  return Response.json(body, { status: 500 });
}

/** Answers instead of `run` when that fails. */
export async function guarded(request, run, development) {
  try {
    return await run();
  } catch (error) {
    return failed(request, error, development);
  }
}

/** A class of handlers, which workerd makes an object of for each request. */
export const isClass = (main) =>
  typeof main === 'function' && /^class\b/.test(Function.prototype.toString.call(main));

/** Nothing else takes an isolate out of the loader's memory. */
export const end = async () => (await import('cloudflare:workers')).abortIsolate('released');
