/** Keeps the newest reading of each device. */
import { state } from 'petrel';

export default {
  async fetch(request: Request): Promise<Response> {
    const { device, celsius } = (await request.json()) as { device: string; celsius: number };
    await state.set(device, `${celsius}`);
    return new Response(null, { status: 204 });
  },
};
