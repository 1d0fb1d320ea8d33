/** What there is of sinks, by type. A module is loaded with the first sink of its type. */
import type { SinkModule } from './contract.ts';

export const SINK_MODULES: Record<string, () => Promise<SinkModule>> = {
  kafka: async () => (await import('./kafka.ts')).kafkaSink,
  log: async () => (await import('./log.ts')).logSink,
  mqtt: async () => (await import('./mqtt.ts')).mqttSink,
  nats: async () => (await import('./nats.ts')).natsSink,
  postgresql: async () => (await import('./postgresql.ts')).postgresqlSink,
  rabbitmq: async () => (await import('./rabbitmq.ts')).rabbitmqSink,
  redis: async () => (await import('./redis.ts')).redisSink,
  s3: async () => (await import('./s3.ts')).s3Sink,
};
