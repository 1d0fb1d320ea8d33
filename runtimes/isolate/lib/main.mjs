import './petrel-console.mjs';
import * as user from '$ENTRY';

const main = user.$HANDLER;
const made = isClass(main);
const answers =
  typeof (made ? main.prototype : main)?.fetch === 'function' || (typeof main === 'function' && !made);

function handlerOf() {
  if (!answers) return {};
  if (made)
    return class extends main {
      fetch(request) {
        return guarded(request, () => super.fetch(request), $DEVELOPMENT);
      }
    };
  const call = typeof main === 'function' ? main : (...all) => main.fetch(...all);
  return { fetch: (request, env, ctx) => guarded(request, () => call(request, env, ctx), $DEVELOPMENT) };
}
export default handlerOf();

/** What the router asks of a function; a plain handler, since classes of workerd's own are slow to come by. */
export const PetrelProbe = {
  async fetch({ method }) {
    if (method === 'DELETE') await end();
    if (answers) return new Response(null, { status: 204 });
    return Response.json(
      Object.entries(user).map(([name, value]) => `${name} (${value === null ? 'null' : typeof value})`),
    );
  },
};
