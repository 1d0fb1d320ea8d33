/** A subject of NATS JetStream as a sink: an event is confirmed when the stream has it, and kept once within the stream's window of duplicates. */

import { loadClient } from '../../clients/load.ts';
import { toNats } from '../../cloudevents/nats.ts';
import { downstream } from '../connectors/downstream.ts';
import { checkFields, type Fields, readFields } from '../connectors/fields.ts';
import { MODE } from '../connectors/mode.ts';
import { connectNats, NATS_FIELDS, natsName } from '../connectors/nats.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  ...NATS_FIELDS,
  subject: {
    is: 'text',
    required: true,
    form: /^[^\s*>]+$/,
    formHint: 'must have no spaces and no wildcards',
    what: 'the subject, which a stream has to take',
  },
  contentMode: MODE,
} as const satisfies Fields;

export const natsSink: SinkModule = {
  type: 'nats',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const config = readFields(context.config, FIELDS);
    return downstream(context, { what: natsName(config) }, async (cut) => {
      const client = await loadClient('nats');
      const nc = await connectNats(client, config, context.key, cut);
      const js = client.jetstream(nc);
      return {
        async send(event) {
          const { headers, data } = toNats(event, config.contentMode);
          const all = client.headers();
          for (const [name, value] of headers) all.append(name, value);
          await js.publish(config.subject, data, { headers: all, msgID: `${event.source} ${event.id}` });
        },
        lost: nc.closed().then((error) => {
          throw error ?? new Error('the connection was closed');
        }),
        close: () => nc.close(),
      };
    });
  },
};
