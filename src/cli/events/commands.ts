/** Commands for what calls functions: triggers and sources of events. */
import type { CommandSpec } from '../command.ts';
import { ALL_NAMESPACES, NAMESPACE, OUTPUT } from '../options.ts';

const TO = {
  kind: 'text',
  value: 'where',
  help: 'create: a function or service by name, broker/<name>, channel/<name>, sink/<name>, or an http(s) address',
} as const;

export const EVENT_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'event',
    summary: 'Send events, follow them, see what became of each, deliver them again',
    positionals: [
      {
        name: 'action',
        required: true,
        help: 'send, tail, history, replay or streams',
        complete: ['send', 'tail', 'history', 'replay', 'streams'],
      },
      {
        name: 'where',
        required: false,
        help: 'a broker by name, or channel/<name> (default: the broker "default")',
      },
    ],
    options: {
      namespace: NAMESPACE,
      all: {
        kind: 'flag',
        short: 'A',
        help: 'history, streams: of all namespaces; replay: all that is kept',
      },
      type: {
        kind: 'text',
        value: 'type',
        help: 'send: its type; tail, history: only those, such as com.shop.*',
      },
      source: { kind: 'text', value: 'uri', help: 'send: its source; tail, history: only from there' },
      subject: { kind: 'text', value: 'text', help: 'send: its subject; tail, history: only with it' },
      id: { kind: 'text', value: 'id', help: 'send: its id (default: a new one); history, replay: this one' },
      data: { kind: 'text', value: 'text', help: 'send: its data; @file reads a file, @- stdin' },
      'content-type': {
        kind: 'text',
        value: 'media type',
        help: 'send: of the data (default: JSON where it is JSON)',
      },
      attribute: { kind: 'list', value: 'name=value', help: 'send: a further attribute' },
      filter: {
        kind: 'list',
        value: 'attribute=value',
        help: 'tail, history: only events with it; * at the end or the beginning is anything',
      },
      cesql: { kind: 'text', value: 'expression', help: 'tail, history: only events for which this is true' },
      since: {
        kind: 'text',
        value: 'when',
        help: 'tail, history, replay: from 30m ago on, or from a time on',
      },
      until: { kind: 'text', value: 'when', help: 'replay: until then' },
      to: {
        kind: 'text',
        value: 'trigger',
        help: 'replay: only to this trigger (default: to all that want it)',
      },
      limit: {
        kind: 'integer',
        value: 'n',
        help: 'history: at most that many, the newest (default 20); tail: end after so many',
      },
      output: OUTPUT,
    },
    examples: [
      [`petrel event send --type com.shop.paid --data '{"id":7}'`, 'to the broker "default"'],
      ['petrel event tail --type com.shop.*', 'as they come; -o json: one a line'],
      ['petrel event history --id 7', 'where it went: delivered, retried, answered, dead'],
      ['petrel event replay --since 1h --to trigger/paid', 'deliver the last hour once more'],
      ['petrel event streams', 'how much is kept where'],
    ],
    load: () => import('../commands/event.ts'),
  },
  {
    name: 'trigger',
    summary: 'Say which events of a broker call what',
    positionals: [
      {
        name: 'action',
        required: true,
        help: 'list, create, delete, pause or resume',
        complete: ['list', 'create', 'delete', 'pause', 'resume'],
      },
      { name: 'name', required: false, help: 'name of the trigger', complete: 'triggers' },
    ],
    options: {
      namespace: NAMESPACE,
      all: ALL_NAMESPACES,
      broker: {
        kind: 'text',
        value: 'name',
        help: 'create: the broker, made where there is none (default "default")',
      },
      filter: {
        kind: 'list',
        value: 'attribute=value',
        help: 'create: only events with it; * at the end or the beginning is anything',
      },
      cesql: { kind: 'text', value: 'expression', help: 'create: only events for which this is true' },
      to: TO,
      'ordered-by': {
        kind: 'text',
        value: 'attribute',
        help: 'create: one after the other where it is the same; "*": all',
      },
      concurrency: { kind: 'integer', value: 'n', help: 'create: deliveries under way at once' },
      batch: { kind: 'integer', value: 'n', help: 'create: up to so many events in one call' },
      start: { kind: 'text', value: 'where', help: 'create: latest, earliest, or a time' },
      retry: { kind: 'integer', value: 'n', help: 'create: attempts after the first' },
      backoff: {
        kind: 'text',
        value: 'duration',
        help: 'create: with --retry, first wait, such as PT1S (default PT0.2S)',
      },
      'dead-letter': {
        kind: 'text',
        value: 'where',
        help: 'create: where events go that could not be delivered',
      },
      'no-wait': { kind: 'flag', help: 'create: return without waiting until it works' },
      output: OUTPUT,
    },
    examples: [
      [
        "petrel trigger create paid --filter 'type=com.shop.*' --to shipping",
        'events by the beginning of their type',
      ],
      [
        'petrel trigger create big --cesql "type = \'paid\' AND INT(amount) > 100" --to audit',
        'by an expression',
      ],
      [
        'petrel trigger create log --start earliest --to https://log.example/in',
        'everything, from the oldest kept on',
      ],
      ['petrel trigger pause paid', 'events wait until petrel trigger resume paid'],
    ],
    load: () => import('../commands/trigger.ts'),
  },
  {
    name: 'source',
    summary: 'Say where events come from: a clock, a queue, a webhook',
    positionals: [
      {
        name: 'action',
        required: true,
        help: 'list, create, delete, pause or resume',
        complete: ['list', 'create', 'delete', 'pause', 'resume'],
      },
      {
        name: 'name',
        required: false,
        help: 'name of the source (create: default its kind)',
        complete: 'sources',
      },
    ],
    options: {
      namespace: NAMESPACE,
      all: ALL_NAMESPACES,
      kind: {
        kind: 'text',
        value: 'kind',
        help: 'create: timer, webhook, http, files, kubernetes, kafka, nats, redis, rabbitmq, mqtt, postgresql, s3',
      },
      set: {
        kind: 'list',
        value: 'name=value',
        help: 'create: a setting of that kind; secret/<name>:<key> is a key of a Secret',
      },
      to: TO,
      'no-wait': { kind: 'flag', help: 'create: return without waiting until it works' },
      output: OUTPUT,
    },
    examples: [
      [
        "petrel source create nightly --kind timer --set 'schedule=0 9 * * 1-5' --set timeZone=Europe/Berlin --to report",
        'by the clock',
      ],
      [
        'petrel source create orders --kind kafka --set topic=orders --set bootstrapServers=kafka:9092 --to shop',
        'from a topic',
      ],
      [
        'petrel source create github --kind webhook --set provider=github --set secret=secret/gh:key --to broker/default',
        'from GitHub',
      ],
      ['petrel source pause orders', 'what comes waits at its origin'],
    ],
    load: () => import('../commands/source.ts'),
  },
];
