/** AWS Lambda behind an HTTP API: event version 2.0. */
export const handler = async (event, context) => ({
  statusCode: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ path: event.rawPath, id: context.awsRequestId }),
});
