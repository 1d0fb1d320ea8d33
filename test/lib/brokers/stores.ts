/** The servers that keep events for Brokers of the other classes, and what a Broker's ConfigMap says of them. */
import { kafkaServer } from './kafka.ts';
import { natsServer } from './nats.ts';
import type { Server } from './server.ts';

export interface BrokerStore {
  /** The class. */
  name: string;
  start(): Promise<Server | string>;
  data(server: Server): Record<string, string>;
}

export const STORES: readonly BrokerStore[] = [
  {
    name: 'JetStream',
    start: () => natsServer(),
    data: ({ port }) => ({ servers: `nats://127.0.0.1:${port}` }),
  },
  {
    name: 'Kafka',
    start: () => kafkaServer(),
    data: ({ port }) => ({
      'bootstrap.servers': `127.0.0.1:${port}`,
      'default.topic.partitions': '1',
      'default.topic.replication.factor': '1',
    }),
  },
];

/** The Broker `far` and its ConfigMap. */
export const farBroker = ({ name, data }: BrokerStore, server: Server): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'far' }, data: data(server) },
      {
        apiVersion: 'eventing.knative.dev/v1',
        kind: 'Broker',
        metadata: { name: 'far', annotations: { 'eventing.knative.dev/broker.class': name } },
        spec: { config: { apiVersion: 'v1', kind: 'ConfigMap', name: 'far', namespace: 'default' } },
      },
    ],
  });
