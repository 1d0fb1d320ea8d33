/** The platform's own log as a sink: a line for each event, for people who look on. */
import { attribute, type CloudEvent } from '../../cloudevents/event.ts';
import { checkFields, type Fields, readFields } from '../connectors/fields.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  level: { is: 'choice', of: ['info', 'warn', 'error'], default: 'info', what: 'level of the lines' },
  name: { is: 'text', default: 'event', what: 'what the lines say' },
  showAttributes: { is: 'flag', default: true, what: 'whether attributes are shown' },
  showData: { is: 'flag', default: true, what: 'whether data is shown, up to 4 KiB of it' },
} as const satisfies Fields;

const MOST = 4096;
const ATTRIBUTES = ['id', 'source', 'type', 'subject', 'time', 'datacontenttype', 'dataschema'];

/** Data as one text; base64 where it is none. */
function shown(data: Buffer): string {
  const cut = data.subarray(0, MOST);
  const text = cut.toString('utf8');
  const readable = !/[\0-\x08\x0e-\x1f\uFFFD]/.test(text.slice(0, -1));
  return (readable ? text : cut.toString('base64')) + (data.length > MOST ? '…' : '');
}

function fieldsOf(event: CloudEvent, attributes: boolean, data: boolean): Record<string, string> {
  const names = attributes ? [...ATTRIBUTES, ...Object.keys(event.extensions)] : ['id'];
  const fields: Record<string, string> = {};
  for (const name of names) {
    const value = attribute(event, name);
    if (value !== undefined) fields[`ce-${name}`] = String(value);
  }
  if (data && event.data !== undefined) fields.data = shown(event.data);
  return fields;
}

export const logSink: SinkModule = {
  type: 'log',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const { level, name, showAttributes, showData } = readFields(context.config, FIELDS);
    context.report({ ready: true, reason: 'Ready', message: '' });
    return {
      async send(event) {
        context.log[level](name, { sink: context.key, ...fieldsOf(event, showAttributes, showData) });
      },
      async stop() {},
    };
  },
};
