/**
 * MQTT topics as a source. Brokers keep little and not for long, so what comes goes into a stream of its own first, and is acknowledged when it is on disk
 * there: from then on it is delivered as the events of any stream are.
 */

import { loadClient } from '../../../clients/load.ts';
import type { IPublishPacket } from '../../../clients/mqtt/index.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import { fromMqtt, isMqttEvent } from '../../../cloudevents/mqtt.ts';
import { checkFields, type Fields, readFields } from '../../connectors/fields.ts';
import { about, attributeName, attributeText, carried } from '../../connectors/messages.ts';
import { connectMqtt, MQTT_FIELDS, mqttName } from '../../connectors/mqtt.ts';
import { aborted, upstream } from '../../connectors/upstream.ts';
import type { SourceContext, SourceModule } from '../contract.ts';

export const FIELDS = {
  ...MQTT_FIELDS,
  topics: { is: 'texts', required: true, what: 'topic filters, with `+` and `#`' },
  group: {
    is: 'text',
    form: /^[^/+#]+$/,
    formHint: 'must have none of / + #',
    what: 'a shared subscription: members of a group share the messages',
  },
  qos: {
    is: 'count',
    min: 0,
    max: 2,
    default: 1,
    what: 'the quality of service that is subscribed with; with 0 the broker keeps nothing',
  },
  clientId: {
    is: 'text',
    what: 'the client’s identifier, by which the broker knows its session; default: `petrel-<namespace>-<name>`',
  },
  sessionSeconds: {
    is: 'count',
    min: 0,
    max: 4_294_967_294,
    default: 86_400,
    what: 'how long the broker keeps the session, and messages of QoS 1 and 2 in it, while nobody is connected',
  },
  prefetch: {
    is: 'count',
    min: 1,
    max: 65_535,
    default: 256,
    what: 'messages of QoS 1 and 2 that are taken and not yet acknowledged',
  },
} as const satisfies Fields;

export const mqttSource: SourceModule = {
  type: 'mqtt',
  durable: 'own',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const accepted = new Set<number>();
    const topics = config.topics.map((topic) =>
      config.group === undefined ? topic : `$share/${config.group}/${topic}`,
    );
    // What is on disk is no concern of this part any more: nothing is under way here for long.
    const options = { what: mqttName(config), concurrency: config.prefetch, quiet: true };
    return upstream(context, options, async ({ intake, signal, cut, up, settled }) => {
      const mqtt = await connectMqtt(await loadClient('mqtt'), config, {
        clientId: config.clientId ?? `petrel-${context.namespace}-${context.name}`,
        sessionSeconds: config.qos === 0 ? 0 : config.sessionSeconds,
        receiveMaximum: config.prefetch,
        accepted,
        clock: context.clock,
        cut,
        onMessage: (packet) =>
          new Promise((resolve, reject) => {
            intake.take(undefined, () =>
              context.emit(toEvent(packet, context)).then(() => resolve(), reject),
            );
          }),
      });
      try {
        await mqtt.subscribe(topics, config.qos as 0 | 1 | 2);
        up(`subscribes to ${config.topics.join(', ')}`);
        await Promise.race([aborted(signal), mqtt.lost]);
        await settled();
      } finally {
        await mqtt.close();
      }
    });
  },
};

/** The event that a message carries, else the one about it. A message has no identity: the broker's repetition of it has a new id. */
function toEvent(
  packet: IPublishPacket,
  { namespace, name, uuid, clock }: SourceContext<unknown>,
): CloudEvent {
  const { topic, retain, properties } = packet;
  const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
  const plain = () =>
    about({
      id: uuid(),
      type: 'dev.petrel.mqtt.message',
      origin: { namespace, name, plural: 'mqttsources' },
      subject: topic,
      at: clock.now(),
      contentType: properties?.contentType,
      extensions: {
        mqttretain: retain ? 'true' : undefined,
        ...Object.fromEntries(
          Object.entries(properties?.userProperties ?? {}).map(([key, value]) => [
            `mqttproperty${attributeName(key)}`,
            attributeText(Buffer.from(String(value))),
          ]),
        ),
      },
      data: payload,
    });
  return isMqttEvent({ properties }) ? carried(() => fromMqtt({ payload, properties }), plain) : plain();
}
