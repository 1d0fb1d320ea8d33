export default {
  async fetch(request) {
    return Response.json({
      path: new URL(request.url).pathname,
      body: await request.json(),
      type: request.headers.get('content-type'),
    });
  },
};
export const plain = (request) => new Response(request.method, { headers: { 'content-type': 'text/plain' } });
export const handler = async (event, context) => ({
  statusCode: 200,
  body: event.body,
  headers: { id: context.awsRequestId },
});
