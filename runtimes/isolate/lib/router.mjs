/**
 * Runs inside workerd: hands the requests of each socket to the function that is loaded in its slot, in an isolate of its own. What
 * is loaded is said on the control socket (`Control`), by the supervisor alone.
 */
import { WorkerEntrypoint } from 'cloudflare:workers';

/** @type {Map<number, {id: string, code: object, inFlight: number}>} */
const slots = new Map();

export default {
  async fetch(request, env, ctx) {
    const slot = slots.get(ctx.props.slot);
    if (slot === undefined) return new Response('no function is loaded here\n', { status: 503 });
    slot.inFlight++;
    let over = false;
    const end = () => {
      if (!over) slot.inFlight--;
      over = true;
    };
    request.signal.addEventListener('abort', end);
    try {
      const response = await env.LOADER.get(slot.id, () => slot.code)
        .getEntrypoint()
        .fetch(request);
      if (response.body === null || response.webSocket || request.method === 'HEAD') {
        end();
        return response;
      }
      const length = response.headers.get('content-length');
      const { readable, writable } =
        length === null ? new IdentityTransformStream() : new FixedLengthStream(BigInt(length));
      ctx.waitUntil(response.body.pipeTo(writable).then(end, end));
      return new Response(readable, response);
    } catch (error) {
      end();
      throw error;
    }
  },
};

/** Base64 is how bytes travel in JSON. */
const bytesOf = (base64) => Uint8Array.fromBase64(base64).buffer;

export class Control extends WorkerEntrypoint {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/ping') return new Response('pong');
    if (pathname === '/in-flight')
      return Response.json(Object.fromEntries([...slots].map(([slot, { inFlight }]) => [slot, inFlight])));
    const message = await request.json();
    if (pathname === '/unload') {
      if (message.slot === undefined) slots.clear();
      else slots.delete(message.slot);
      return Response.json({});
    }
    return this.load(message);
  }

  /** Loads a function and says what it exports; the error in the engine's words when it cannot be loaded. */
  async load({ slot, id, code }) {
    for (const module of Object.values(code.modules))
      for (const kind of ['data', 'wasm']) if (kind in module) module[kind] = bytesOf(module[kind]);
    try {
      for (const module of Object.values(code.modules))
        if (module.json) [module.json, module.text] = [JSON.parse(module.text), undefined];
      const worker = this.env.LOADER.get(id, () => code);
      const exports = await worker.getEntrypoint('PetrelProbe').exports();
      slots.set(slot, { id, code, inFlight: 0 });
      return Response.json({ exports });
    } catch (error) {
      return Response.json({ error: `${error?.name ?? 'Error'}: ${error?.message ?? error}` });
    }
  }
}
