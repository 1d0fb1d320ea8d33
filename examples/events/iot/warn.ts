/** Called for hot readings only: the trigger's expression decides. */
import { state } from 'petrel';

export default {
  async fetch(request: Request): Promise<Response> {
    const { device, celsius } = (await request.json()) as { device: string; celsius: number };
    await state.set(device, `too hot: ${celsius}`);
    return new Response(null, { status: 204 });
  },
};
