/** Commands for what functions get besides instances. */
import type { CommandSpec } from '../command.ts';
import { ALL_NAMESPACES, NAMESPACE, OUTPUT } from '../options.ts';

export const SERVICE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'invocations',
    summary: 'List asynchronous invocations, show one with its result, or cancel one',
    positionals: [
      { name: 'action', required: true, help: 'list, get or cancel' },
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
    summary: 'Dead letters: invocations that failed for good, with all that is needed to try them again',
    positionals: [
      { name: 'action', required: true, help: 'list, show, redrive or purge' },
      {
        name: 'what',
        required: false,
        help: 'show: the id; redrive, purge: an id or a function; list: a function',
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
      ['petrel dlq purge orders', 'throw them away'],
    ],
    load: () => import('../commands/dlq.ts'),
  },
];
