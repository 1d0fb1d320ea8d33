/** Streams in a real JetStream: the promises of the log's contract. */
import { natsServer } from '../../../../test/lib/brokers/nats.ts';
import { openJetStream } from './jetstream.ts';
import { holdToPromises } from './testing/promises.ts';

const server = await natsServer();
holdToPromises('JetStream', {
  type: 'jetstream',
  server,
  config: () => ({ servers: typeof server === 'string' ? [] : [server.url] }),
  open: openJetStream,
  wrong: { replicas: 99 },
  nowhere: { servers: ['127.0.0.1:1'] },
});
