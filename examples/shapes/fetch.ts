/** Web standard: Request in, Response out. Runs on other platforms as it is. */
export default async (request: Request): Promise<Response> => {
  const body = request.method === 'POST' ? await request.text() : '';
  return Response.json({ method: request.method, path: new URL(request.url).pathname, body });
};
