module.exports = async (context) => ({
  status: 200,
  body: `guest ${context.request.headers['x-fission-params-name'] ?? 'book'}`,
});
