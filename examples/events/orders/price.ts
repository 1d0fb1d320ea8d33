/** Second step: what it costs. The last step's answer goes to the sequence's reply. */
const PRICES: Record<string, number> = { tea: 4, mug: 9 };

export default {
  async fetch(request: Request): Promise<Response> {
    const order = (await request.json()) as { items: string[] };
    const total = order.items.reduce((sum, item) => sum + (PRICES[item] ?? 0), 0);
    return Response.json(
      { ...order, total },
      {
        headers: {
          'ce-specversion': '1.0',
          'ce-id': `${request.headers.get('ce-id')}`,
          'ce-source': '/orders/price',
          'ce-type': 'order.enriched',
        },
      },
    );
  },
};
