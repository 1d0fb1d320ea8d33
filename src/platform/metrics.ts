/** What every part has counted, in one answer on the platform's socket. */
import { type Family, metricsText, OPENMETRICS } from '../base/openmetrics.ts';
import type { SocketRoute } from '../functions/packages/server.ts';

/** Row of the platform's socket: counts of everything as OpenMetrics text. */
export const METRICS = '/metrics';

/** Asked whenever somebody collects; a part that has not begun tells nothing. */
export type Counts = () => Promise<Family[]>;

export const metricsRoute = (counts: readonly Counts[]): SocketRoute => ({
  method: 'GET',
  path: METRICS,
  async handle(_request, response) {
    const families = await Promise.all(counts.map((tell) => tell()));
    response.writeHead(200, { 'content-type': OPENMETRICS }).end(metricsText(families.flat()));
  },
});
