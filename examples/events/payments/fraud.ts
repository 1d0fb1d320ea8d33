/** Decides which way a payment goes. */
interface Payment {
  id: string;
  amount: number;
  country: string;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const payment = (await request.json()) as Payment;
    const suspicious = payment.amount > 1000 || payment.country === 'XX';
    return Response.json(payment, {
      headers: {
        'ce-specversion': '1.0',
        'ce-id': `fraud-${payment.id}`,
        'ce-source': '/payments/fraud',
        'ce-type': suspicious ? 'payment.suspicious' : 'payment.cleared',
        'ce-subject': payment.id,
      },
    });
  },
};
