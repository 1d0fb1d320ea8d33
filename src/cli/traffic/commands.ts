/** Commands for revisions: which there are, which get the requests, and how they scale. */
import type { CommandSpec, OptionSpec } from '../command.ts';
import { NAMESPACE, OUTPUT, SERVICE } from '../options.ts';
import { SCALE_OPTIONS } from './scale.ts';

export const TRAFFIC_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'revisions',
    summary: 'List the revisions of a function or service, with the traffic of each',
    positionals: [SERVICE],
    options: { namespace: NAMESPACE, output: OUTPUT },
    examples: [['petrel revisions hello', 'newest first']],
    load: () => import('../commands/revisions.ts'),
  },
  {
    name: 'traffic',
    summary: 'Show or change which revisions get the requests',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      to: {
        kind: 'list',
        value: 'revision=percent,...',
        help: 'who gets how much; latest is a revision, too. The rest stays where it is',
        complete: 'revisions',
      },
      promote: {
        kind: 'text',
        value: 'tag|revision',
        help: 'give everything to that revision (blue/green)',
        complete: 'revisions',
      },
      tag: { kind: 'list', value: 'tag=revision', help: 'name a revision; it gets a URL of its own' },
      'remove-tag': { kind: 'list', value: 'tag', help: 'take a tag away' },
      output: OUTPUT,
    },
    examples: [
      ['petrel traffic hello', 'who gets what'],
      ['petrel traffic hello --to hello-00002=10', 'a tenth to one revision, the rest as before'],
      ['petrel traffic hello --to latest', 'everything to the newest, now and in future'],
      ['petrel traffic hello --promote green', 'everything to the revision with that tag'],
      ['petrel traffic hello --tag old=hello-00001', 'reach a revision under a URL of its own'],
    ],
    load: () => import('../commands/traffic.ts'),
  },
  {
    name: 'rollback',
    summary: 'Give all traffic back to the revision before',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      to: { kind: 'text', value: 'revision', help: 'to that one instead', complete: 'revisions' },
      output: OUTPUT,
    },
    examples: [
      ['petrel rollback hello', 'to the ready revision before the one that serves'],
      ['petrel rollback hello --to hello-00003', 'to a certain one'],
    ],
    load: () => import('../commands/rollback.ts'),
  },
  {
    name: 'alias',
    summary: 'List, set or delete names for revisions of a function, each with a URL of its own',
    positionals: [SERVICE, { name: 'alias', required: false, help: 'for example prod', complete: 'aliases' }],
    options: {
      namespace: NAMESPACE,
      to: {
        kind: 'text',
        value: 'revision',
        help: 'what it stands for; latest: always the newest',
        complete: 'revisions',
      },
      also: {
        kind: 'text',
        value: 'revision=percent',
        help: 'a second revision and its part',
        complete: 'revisions',
      },
      delete: { kind: 'flag', help: 'delete the alias; revisions stay' },
      output: OUTPUT,
    },
    examples: [
      ['petrel alias hello prod --to hello-00002', 'prod is that revision until it is set anew'],
      ['petrel alias hello prod --to 2 --also 3=10', 'a tenth of its requests try the next one'],
      ['petrel alias hello', 'the aliases that there are'],
      ['petrel alias hello prod --delete', 'its URL goes'],
    ],
    load: () => import('../commands/alias.ts'),
  },
  {
    name: 'publish',
    summary: 'Keep a revision for good, with a description, and give it an alias',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      revision: {
        kind: 'text',
        value: 'revision',
        help: 'which one (default: the newest that is ready)',
        complete: 'revisions',
      },
      description: { kind: 'text', value: 'text', help: 'what is in it, for people' },
      as: { kind: 'text', value: 'alias', help: 'let this alias stand for it' },
      off: { kind: 'flag', help: 'no longer keep it: it goes when nothing uses it' },
      output: OUTPUT,
    },
    examples: [
      [
        'petrel publish hello --description "new prices" --as prod',
        'keep the newest, prod is it from now on',
      ],
      ['petrel publish hello --revision 3 --off', 'it may be deleted once nothing uses it'],
    ],
    load: () => import('../commands/publish.ts'),
  },
  {
    name: 'diff',
    summary: 'Show what differs between two revisions: settings and files',
    positionals: [
      SERVICE,
      { name: 'from', required: false, help: 'revision (default: the one before)', complete: 'revisions' },
      { name: 'to', required: false, help: 'revision (default: the newest)', complete: 'revisions' },
    ],
    options: { namespace: NAMESPACE, output: OUTPUT },
    examples: [
      ['petrel diff hello', 'what the newest revision changed'],
      ['petrel diff hello 2 5', 'between two certain ones'],
    ],
    load: () => import('../commands/diff.ts'),
  },
  {
    name: 'canary',
    summary: 'Give new revisions their traffic step by step, and take it back when they fail',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      on: { kind: 'flag', help: 'with the default rules, or those that it has' },
      steps: { kind: 'text', value: '5,25,50', help: 'percentages, rising; then everything' },
      interval: { kind: 'text', value: '30s', help: 'how long each step lasts' },
      'min-requests': { kind: 'integer', value: '10', help: 'requests that each step must have answered' },
      'max-error-percent': { kind: 'text', value: '1', help: 'more failures than this: back' },
      'max-latency': { kind: 'text', value: '300ms', help: 'slower than this for one in twenty: back' },
      status: { kind: 'flag', help: 'how it goes (what it does without options)' },
      promote: { kind: 'flag', help: 'give everything to the canary now' },
      abort: { kind: 'flag', help: 'give everything back now' },
      off: { kind: 'flag', help: 'new revisions take over at once again' },
      output: OUTPUT,
    },
    examples: [
      ['petrel canary hello --on', 'from now on new revisions begin with 5 %'],
      ['petrel canary hello --steps 10,50 --interval 1m --max-latency 300ms', 'with these rules'],
      ['petrel canary hello', 'how it goes'],
      ['petrel canary hello --abort', 'stop it; the stable revision has everything'],
    ],
    load: () => import('../commands/canary.ts'),
  },
  {
    name: 'scale',
    summary: 'Show or change how a function or service scales, at once and without a new revision',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      ...Object.fromEntries(
        Object.entries(SCALE_OPTIONS).map(([name, { example, help }]): [string, OptionSpec] => [
          name,
          { kind: 'text', value: `${example}|none`, help },
        ]),
      ),
      output: OUTPUT,
    },
    examples: [
      ['petrel scale hello', 'what is set, and how many instances there are'],
      ['petrel scale hello --min 1 --max 10', 'keep one warm, never more than ten'],
      ['petrel scale hello --min none', 'back to what the revision says'],
    ],
    load: () => import('../commands/scale.ts'),
  },
];
