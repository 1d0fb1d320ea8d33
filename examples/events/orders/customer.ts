/** First step: who ordered. */
const CUSTOMERS: Record<string, string> = { c1: 'Ada', c2: 'Grace' };

export default {
  async fetch(request: Request): Promise<Response> {
    const order = (await request.json()) as { customer: string };
    return Response.json(
      { ...order, name: CUSTOMERS[order.customer] ?? 'unknown' },
      { headers: attributes(request) },
    );
  },
};

/** The event stays the same one: only its data grows. */
function attributes(request: Request): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of request.headers) if (name.startsWith('ce-')) found[name] = value;
  return found;
}
