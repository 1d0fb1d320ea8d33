/** Books one invoice. */
import { state } from 'petrel';

export default {
  async fetch(request: Request): Promise<Response> {
    const { number, amount } = (await request.json()) as { number: string; amount: string };
    await state.set(number, `booked ${amount}`);
    return new Response(null, { status: 204 });
  },
};
