/** Fission: a context, and an object with status, body and headers. */
module.exports = async (context) => ({
  status: 200,
  body: `Hello, ${context.request.query.name ?? 'world'}!\n`,
  headers: { 'content-type': 'text/plain' },
});
