/** Answers every request. `Request` and `Response` are the web's own: https://developer.mozilla.org/docs/Web/API/Fetch_API */
export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    return Response.json({ hello: searchParams.get('name') ?? 'world' });
  },
};
