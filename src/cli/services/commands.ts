/** Commands for what functions get besides instances. */
import type { CommandSpec } from '../command.ts';
import { ALL_NAMESPACES, NAMESPACE, OUTPUT } from '../options.ts';

export const SERVICE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'invocations',
    summary: 'List asynchronous invocations, show one with its result, or cancel one',
    positionals: [
      { name: 'action', required: true, help: 'list, get or cancel', complete: ['list', 'get', 'cancel'] },
      { name: 'what', required: false, help: 'get, cancel: the id; list: a function' },
    ],
    options: {
      namespace: NAMESPACE,
      all: ALL_NAMESPACES,
      state: {
        kind: 'text',
        value: 'states',
        help: 'list: only these, comma-separated: queued, succeeded, failed, dead, cancelled',
      },
      limit: { kind: 'integer', value: 'n', help: 'list: at most that many, the newest (default 50)' },
      output: OUTPUT,
    },
    examples: [
      ['petrel invocations list', 'the newest of the default namespace'],
      ['petrel invocations list orders --state queued', 'what waits for one function'],
      ['petrel invocations get <id>', 'where it stands, its attempts, its result'],
      ['petrel invocations cancel <id>', 'do not carry it out'],
    ],
    load: () => import('../commands/invocations.ts'),
  },
  {
    name: 'dlq',
    summary:
      'Dead letters: invocations and events that failed for good, with all that is needed to try them again',
    positionals: [
      {
        name: 'action',
        required: true,
        help: 'list, show, redrive or purge',
        complete: ['list', 'show', 'redrive', 'purge'],
      },
      {
        name: 'what',
        required: false,
        help: 'show: the id; redrive, purge: an id; all but show: a function, or trigger/<name>',
      },
    ],
    options: {
      namespace: NAMESPACE,
      all: ALL_NAMESPACES,
      limit: { kind: 'integer', value: 'n', help: 'list: at most that many, the newest (default 50)' },
      output: OUTPUT,
    },
    examples: [
      ['petrel dlq list', 'what failed, and why'],
      ['petrel dlq show <id>', 'the request as it came, and every attempt'],
      ['petrel dlq redrive <id>', 'try this one again, with all its attempts'],
      ['petrel dlq redrive orders', 'the same for all of a function'],
      ['petrel dlq redrive trigger/paid', 'events that could not be delivered to it'],
      ['petrel dlq purge orders', 'throw them away'],
    ],
    load: () => import('../commands/dlq.ts'),
  },
  {
    name: 'state',
    summary: 'Read and change what a function keeps',
    positionals: [
      {
        name: 'action',
        required: true,
        help: 'get, set, delete or list',
        complete: ['get', 'set', 'delete', 'list'],
      },
      { name: 'function', required: false, help: 'name of the function', complete: 'functions' },
      { name: 'key', required: false, help: 'the key; list: only keys that begin with this' },
      { name: 'value', required: false, help: 'set: the value; @file reads a file, nothing or @- stdin' },
    ],
    options: {
      namespace: NAMESPACE,
      blob: { kind: 'flag', help: 'blobs instead of keys' },
      ttl: { kind: 'integer', value: 'seconds', help: 'set: gone after this time; 0: never' },
      type: { kind: 'text', value: 'media type', help: 'set: what the value is (default text/plain)' },
      limit: { kind: 'integer', value: 'n', help: 'list: at most that many (default 100)' },
      output: OUTPUT,
    },
    examples: [
      ['petrel state list shop', 'all keys'],
      ['petrel state get shop cart/7', 'one value, as it is'],
      ['petrel state set shop motd hello --ttl 3600', 'for an hour'],
      ['petrel state set shop logo @logo.png --blob --type image/png', 'a file'],
    ],
    load: () => import('../commands/state.ts'),
  },
];
