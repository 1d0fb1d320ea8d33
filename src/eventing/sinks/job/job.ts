/** Each event becomes a Job: the controllers make it, since that needs the API. See `control/job-sinks.ts`. */
import { toJson } from '../../../cloudevents/json.ts';
import { type SinkModule, SinkRefusal } from '../contract.ts';

/** What the controllers are asked: to begin a Job for an event, or how one goes. */
export interface JobQuestion {
  namespace: string;
  name: string;
  source: string;
  id: string;
  /** JSON; absent: how it goes. */
  event?: string;
}

/** A status of HTTP as upstream's service answers, with why. */
export interface JobAnswer {
  status: number;
  reason?: string;
}

/** Under which name the controllers answer. */
export const JOB = 'job';

const WAY = /^\/sources\/([^/?]+)\/ids\/([^/?]+)$/;

function decoded(part: string | undefined): string | undefined {
  try {
    return part === undefined ? undefined : decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

export const jobSink: SinkModule = {
  type: 'job',
  check: () => [],
  async start({ key, callMain }) {
    const [, namespace = '', name = ''] = key.split('/');
    const ask = async (question: Omit<JobQuestion, 'namespace' | 'name'>): Promise<JobAnswer> =>
      (await callMain(JOB, { namespace, name, ...question })) as unknown as JobAnswer;
    const location = (source: string, id: string) =>
      `/events/${key}/sources/${encodeURIComponent(source)}/ids/${encodeURIComponent(id)}`;
    return {
      async send(event) {
        const { source, id } = event;
        const { status, reason = '' } = await ask({ source, id, event: toJson(event).toString('utf8') });
        if (status !== 202) throw new SinkRefusal(status, reason);
        return { location: location(source, id) };
      },
      async request({ path }) {
        const found = WAY.exec(path);
        const [source, id] = [decoded(found?.[1]), decoded(found?.[2])];
        if (source === undefined || id === undefined) return { status: 400 };
        const { status, reason } = await ask({ source, id });
        return {
          status,
          headers: { ...(reason && { reason }), ...(status === 202 && { location: location(source, id) }) },
        };
      },
      async stop() {},
    };
  },
};
