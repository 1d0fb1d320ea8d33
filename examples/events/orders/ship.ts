/** Gets complete orders. */
import { state } from 'petrel';

export default {
  async fetch(request: Request): Promise<Response> {
    const { id, name, total } = (await request.json()) as { id: string; name: string; total: number };
    await state.set(id, `${name} pays ${total}`);
    return new Response(null, { status: 204 });
  },
};
