/** Holds suspicious payments until a person says yes: POST /<id> turns one into an event. */
import { state } from 'petrel';

export default {
  async fetch(request: Request): Promise<Response> {
    if (request.headers.get('ce-type') === 'payment.suspicious') {
      const payment = await request.text();
      await state.set((JSON.parse(payment) as { id: string }).id, payment);
      return new Response(null, { status: 204 });
    }
    const id = new URL(request.url).pathname.split('/').at(-1) ?? '';
    const payment = await state.get(id);
    if (payment === undefined) return new Response('no such payment\n', { status: 404 });
    const sent = await fetch(process.env.BROKER ?? '', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'ce-specversion': '1.0',
        'ce-id': `approved-${id}`,
        'ce-source': '/payments/approvals',
        'ce-type': 'payment.approved',
        'ce-subject': id,
      },
      body: String(payment),
    });
    // It is forgotten only when the event is on disk.
    if (!sent.ok) return new Response('try again\n', { status: 503 });
    await state.delete(id);
    return new Response('approved\n');
  },
};
