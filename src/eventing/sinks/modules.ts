/** What there is of sinks, by type. A module is loaded with the first sink of its type. */
import type { SinkModule } from './contract.ts';

/** A module with a configuration of its own, as one of many: it checks what it is given before it is started. */
// biome-ignore lint/suspicious/noExplicitAny: each module's own type of configuration ends here
const row = (module: SinkModule<any>): SinkModule => module;

export const SINK_MODULES: Record<string, () => Promise<SinkModule>> = {
  job: async () => (await import('./job/job.ts')).jobSink,
  kafka: async () => (await import('./kafka.ts')).kafkaSink,
  log: async () => (await import('./log.ts')).logSink,
  mqtt: async () => (await import('./mqtt.ts')).mqttSink,
  nats: async () => (await import('./nats.ts')).natsSink,
  postgresql: async () => (await import('./postgresql.ts')).postgresqlSink,
  rabbitmq: async () => (await import('./rabbitmq.ts')).rabbitmqSink,
  redis: async () => (await import('./redis.ts')).redisSink,
  s3: async () => (await import('./s3.ts')).s3Sink,
  transform: async () => row((await import('./transform/transform.ts')).transformSink),
};
