/** A web-standard handler: a Request comes in, a Response goes out. Variables of the function are in `env`. */
export default {
  async fetch(request: Request, env: Record<string, string>): Promise<Response> {
    const { pathname } = new URL(request.url);
    const name = (await request.text()) || env.NAME || 'world';
    return new Response(`Hello, ${name}, from ${pathname}\n`);
  },
};
