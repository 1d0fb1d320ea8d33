/** Knative func: the context of a request, and its CloudEvent or body. */
export const handle = async (
  context: { method: string; query: Record<string, string> },
  event?: unknown,
) => ({
  statusCode: 200,
  headers: { 'x-function': 'knative' },
  body: { method: context.method, query: context.query, event },
});
