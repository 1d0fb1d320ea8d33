/** What there is of sources, by type. A module is loaded with the first source of its type. */
import type { SourceModule } from './contract.ts';

/** A module with a configuration of its own, as one of many: it checks what it is given before it is started. */
// biome-ignore lint/suspicious/noExplicitAny: each module's own type of configuration ends here
const row = (module: SourceModule<any>): SourceModule => module;

export const SOURCE_MODULES: Record<string, () => Promise<SourceModule>> = {
  files: async () => row((await import('./files/files.ts')).filesSource),
  http: async () => row((await import('./http/http.ts')).httpSource),
  kafka: async () => row((await import('./kafka/source.ts')).kafkaSource),
  mqtt: async () => row((await import('./mqtt/source.ts')).mqttSource),
  nats: async () => row((await import('./nats/source.ts')).natsSource),
  postgresql: async () => row((await import('./postgresql/source.ts')).postgresqlSource),
  rabbitmq: async () => row((await import('./rabbitmq/source.ts')).rabbitmqSource),
  redis: async () => row((await import('./redis/source.ts')).redisSource),
  s3: async () => row((await import('./s3/source.ts')).s3Source),
  timer: async () => row((await import('./timer/timer.ts')).timerSource),
  webhook: async () => row((await import('./webhook/webhook.ts')).webhookSource),
};
