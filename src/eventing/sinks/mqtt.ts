/** An MQTT topic as a sink: an event is confirmed when the broker has taken it. */

import { loadClient } from '../../clients/load.ts';
import { toMqtt } from '../../cloudevents/mqtt.ts';
import { downstream } from '../connectors/downstream.ts';
import { checkFields, type Fields, readFields } from '../connectors/fields.ts';
import { MODE } from '../connectors/mode.ts';
import { connectMqtt, MQTT_FIELDS, mqttName, versionOf } from '../connectors/mqtt.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  ...MQTT_FIELDS,
  topic: {
    is: 'text',
    required: true,
    form: /^[^+#]+$/,
    formHint: 'must have no wildcards',
    what: 'the topic',
  },
  qos: {
    is: 'count',
    min: 0,
    max: 2,
    default: 1,
    what: 'the quality of service; with 0 nothing is confirmed',
  },
  retain: {
    is: 'flag',
    default: false,
    what: 'whether the broker keeps the newest for those who subscribe later',
  },
  clientId: { is: 'text', what: 'the client’s identifier; default: `petrel-` and the sink’s name' },
  contentMode: { ...MODE, what: `${MODE.what}; version 3.1.1 has only the latter` },
} as const satisfies Fields;

export const mqttSink: SinkModule = {
  type: 'mqtt',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const { topic, retain, contentMode: mode } = config;
    const clientId = config.clientId ?? `petrel-${context.key.replaceAll('/', '-')}`;
    return downstream(context, { what: mqttName(config) }, async (cut) => {
      const { clock } = context;
      const mqtt = await connectMqtt(await loadClient('mqtt'), config, {
        clientId,
        sessionSeconds: 0,
        clock,
        cut,
      });
      return {
        send(event) {
          const { payload, properties } = toMqtt(event, versionOf(config), mode);
          return mqtt.publish({ topic, payload, properties, retain, qos: config.qos as 0 | 1 | 2 });
        },
        lost: mqtt.lost,
        close: () => mqtt.close(),
      };
    });
  },
};
