/** Called for every sale, and by the clock: the clock's call reports what was sold since the last one. */
import { state } from 'petrel';

export default {
  async fetch(request: Request): Promise<Response> {
    if (request.headers.get('ce-type') === 'shop.sold') {
      await state.increment('sold');
      return new Response(null, { status: 204 });
    }
    const sold = Number((await state.get('sold')) ?? 0);
    if (sold > 0) {
      await state.set('report', `${sold} sold`);
      await state.increment('sold', -sold);
    }
    return new Response(null, { status: 204 });
  },
};
