/** Server-sent events: each leaves when it is made. */
const encoder = new TextEncoder();

export default (request: Request): Response => {
  const events = async function* () {
    for (let n = 1; n <= 5 && !request.signal.aborted; n++) {
      yield encoder.encode(`data: ${n}\n\n`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  return new Response(ReadableStream.from(events()), { headers: { 'content-type': 'text/event-stream' } });
};
