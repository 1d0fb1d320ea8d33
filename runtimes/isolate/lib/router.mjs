/**
 * Runs inside workerd: hands the requests of each socket to the function that is loaded in its slot, in an isolate of its own. What
 * is loaded is said on the control socket (`Control`), by the supervisor alone.
 */
import { WorkerEntrypoint } from 'cloudflare:workers';
import SPARE from './spare.json';

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

/** Names of isolates that wait for a function. @type {string[]} */
const spares = [];
let made = 0;

/** Base64 is how bytes travel in JSON. */
const bytesOf = (base64) => Uint8Array.fromBase64(base64).buffer;

export class Control extends WorkerEntrypoint {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/ping') return new Response('pong');
    if (pathname === '/in-flight')
      return Response.json(Object.fromEntries([...slots].map(([slot, { inFlight }]) => [slot, inFlight])));
    if (pathname === '/spare') return this.spare();
    const message = await request.json();
    if (pathname === '/unload') {
      await Promise.all(
        (message.slot === undefined ? [...slots.keys()] : [message.slot]).map(this.unload, this),
      );
      return Response.json({});
    }
    return pathname === '/give' ? this.give(message) : this.load(message);
  }

  /** Ends the isolate of a slot. */
  async unload(slot) {
    const held = slots.get(slot);
    slots.delete(slot);
    if (held !== undefined) await this.end(held);
  }

  /** An isolate ends from within; what asked it to hears of its end as a failure. */
  async end({ id, code }) {
    await this.probe(id, code, { method: 'DELETE' }).catch(() => {});
  }

  probe(id, code, init) {
    return this.env.LOADER.get(id, () => code)
      .getEntrypoint('PetrelProbe')
      .fetch('http://petrel/', init);
  }

  /** Makes an isolate for a function that is not known yet. */
  async spare() {
    const id = `spare-${++made}`;
    await this.probe(id, SPARE);
    spares.push(id);
    return Response.json({ spares: spares.length });
  }

  /** Puts what is loaded into a slot, in the place of what was there. */
  async hold(slot, id, code) {
    const before = slots.get(slot);
    slots.set(slot, { id, code, inFlight: 0 });
    if (before !== undefined) await this.end(before);
  }

  /** Gives a function to an isolate that stands ready, and says how many are left. `refused`: it is one of those that have to be loaded. */
  async give({ slot, late }) {
    const id = spares.shift();
    if (id === undefined) return Response.json({ given: false, spares: 0 });
    const init = { method: 'POST', body: JSON.stringify(late) };
    const told = await this.probe(id, SPARE, init).catch(() => undefined);
    const given = told?.status === 204;
    if (given) await this.hold(slot, id, SPARE);
    else await this.end({ id, code: SPARE });
    return Response.json({ given, refused: !given, spares: spares.length });
  }

  /**
   * Makes an isolate for a function; `found` are its exports when none of them is a handler, `error` is why it cannot be loaded, in the
   * engine's words.
   */
  async load({ slot, id, code }) {
    for (const module of Object.values(code.modules))
      for (const kind of ['data', 'wasm']) if (kind in module) module[kind] = bytesOf(module[kind]);
    try {
      for (const module of Object.values(code.modules))
        if (module.json) [module.json, module.text] = [JSON.parse(module.text), undefined];
      const told = await this.probe(id, code);
      await this.hold(slot, id, code);
      return Response.json(told.status === 204 ? {} : { found: await told.json() });
    } catch (error) {
      return Response.json({ error: `${error?.name ?? 'Error'}: ${error?.message ?? error}` });
    }
  }
}
