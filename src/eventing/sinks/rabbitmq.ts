/** An exchange or a queue of RabbitMQ as a sink: an event is confirmed when the server has written it to the queues that it is routed to. */

import { loadClient } from '../../clients/load.ts';
import { toAmqp } from '../../cloudevents/amqp.ts';
import type { FieldError, Json } from '../../kinds/object.ts';
import { downstream } from '../connectors/downstream.ts';
import { checkFields, exactlyOne, type Fields, readFields } from '../connectors/fields.ts';
import { MODE } from '../connectors/mode.ts';
import { connectRabbitmq, RABBITMQ_FIELDS, rabbitmqName, rabbitmqReason } from '../connectors/rabbitmq.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  ...RABBITMQ_FIELDS,
  exchange: {
    is: 'text',
    default: '',
    what: 'the exchange; default: the one that has every queue by its name',
  },
  routingKey: { is: 'text', what: 'the routing key; default: the event’s type' },
  queue: { is: 'text', what: 'a queue, instead of exchange and routing key' },
  contentMode: MODE,
} as const satisfies Fields;

const check = (config: Record<string, Json>): FieldError[] => [
  ...checkFields(config, FIELDS),
  ...exactlyOne(config, 'queue', 'exchange'),
];

export const rabbitmqSink: SinkModule = {
  type: 'rabbitmq',
  check,
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const { queue, exchange, routingKey, contentMode: mode } = config;
    return downstream(context, { what: rabbitmqName(config), reasonOf: rabbitmqReason }, async (cut) => {
      const rabbit = await connectRabbitmq(await loadClient('rabbitmq'), config, context.key, cut);
      const channel = await rabbit.model.createConfirmChannel();
      /** Messages that no queue took, by their number: the server returns them before it confirms them. */
      const returned = new Set<string>();
      channel.on('return', ({ properties }) => returned.add(String(properties.headers?.[NUMBER])));
      const broken = new Promise<never>((_, reject) => {
        channel.on('error', reject);
        channel.on('close', () => reject(new Error('the channel was closed')));
      });
      let count = 0;
      return {
        send(event) {
          const { contentType, properties, body } = toAmqp(event, mode);
          const number = String(++count);
          return new Promise<void>((resolve, reject) => {
            channel.publish(
              queue === undefined ? exchange : '',
              queue ?? routingKey ?? event.type,
              body,
              {
                mandatory: true,
                persistent: true,
                contentType,
                messageId: event.id,
                headers: { ...properties, [NUMBER]: number },
              },
              (error) => {
                if (error) reject(error);
                else if (returned.delete(number)) reject(new Error('NO_ROUTE: no queue takes this message'));
                else resolve();
              },
            );
          });
        },
        lost: Promise.race([rabbit.lost, broken]),
        close: () => rabbit.close(),
      };
    });
  },
};

/** The header that tells a returned message. */
const NUMBER = 'x-petrel-number';
