/** Express and Connect: the request and response of node:http. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export default function (req: IncomingMessage, res: ServerResponse): void {
  res.setHeader('content-type', 'text/plain');
  req.pipe(res);
}
