/** All commands, in the order in which help shows them. */
import type { CommandSpec, OptionSpec } from './command.ts';
import { ACCESS_OPTIONS } from './deploy/access-options.ts';
import { BUILD_OPTIONS } from './deploy/build-options.ts';
import { EVENT_COMMANDS } from './events/commands.ts';
import { ALL_NAMESPACES, API, GATEWAY, NAMESPACE, OUTPUT, SERVICE, SOURCE_OPTIONS } from './options.ts';
import { SERVICE_COMMANDS } from './services/commands.ts';
import { SCALE_OPTIONS } from './traffic/scale.ts';

const DETACH: OptionSpec = {
  kind: 'flag',
  short: 'd',
  help: 'return as soon as it is ready; it stays in the background',
};
/** Where the platform, started by another command, reports that it is ready. */
const READY_FD: OptionSpec = {
  kind: 'integer',
  value: 'fd',
  help: 'file descriptor for one line of JSON when ready or failed',
};

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'deploy',
    summary: 'Turn a source file, a program or YAML into a URL',
    positionals: [
      {
        name: 'path',
        required: true,
        help: 'source file, folder with sources or a program, executable, archive or its URL, git repository (#branch:folder), YAML file or folder, - for YAML on stdin',
      },
    ],
    options: {
      ...SOURCE_OPTIONS,
      'no-traffic': { kind: 'flag', help: 'leave the traffic with the revision that has it' },
      tag: { kind: 'text', value: 'tag', help: 'give the new revision a URL of its own' },
      'revision-name': {
        kind: 'text',
        value: 'name',
        help: 'name of the new revision, beginning with that of the function and a dash',
      },
      canary: { kind: 'flag', help: 'give this and every later revision its traffic step by step' },
      on: {
        kind: 'list',
        value: "'what'",
        help: "call it for events: 'cron: 0 9 * * 1-5 Europe/Berlin', 'kafka: topic=orders', 'type=com.shop.*'; none: no more",
      },
      ...ACCESS_OPTIONS,
      ...BUILD_OPTIONS,
      'no-wait': { kind: 'flag', help: 'return without waiting until it answers' },
      output: OUTPUT,
    },
    examples: [
      ['petrel deploy hello.ts', 'a file; the function is called hello'],
      ['petrel deploy ./shop --name shop --env STAGE=dev', 'a folder, with a variable'],
      ['petrel deploy https://example.com/shop.git#main:api', 'a folder of a git repository'],
      ['petrel deploy ./server', 'a compiled program, or a folder with one: it listens on $PORT'],
      ["petrel deploy ./site --command 'ruby app.rb'", 'any command in a folder'],
      ['petrel deploy service.yaml', 'Kubernetes objects of any kind, as kubectl apply does'],
      ['petrel deploy hello.ts --no-traffic --tag green', 'beside the present one; petrel traffic --promote'],
      ['petrel deploy app.py --min 1 --concurrency 10', 'keep one instance warm, ten requests each'],
      ["petrel deploy report.ts --on 'cron: 0 9 * * 1-5 Europe/Berlin'", 'called by the clock'],
      ["petrel deploy order.ts --on 'type=com.shop.order.*'", 'called for events of the default broker'],
      [
        'petrel deploy shop.ts --state own',
        "with state that outlives instances: import { state } from 'petrel'",
      ],
      [
        'petrel deploy hello.ts --env-from secret/db -o json',
        'variables of a Secret; machine-readable answer',
      ],
    ],
    load: () => import('./commands/deploy.ts'),
  },
  {
    name: 'init',
    summary: 'Begin a function: a handler, a test and a README in a folder',
    positionals: [{ name: 'folder', required: false, help: 'where to (default: here)' }],
    options: {
      template: { kind: 'text', short: 't', value: 'name', help: 'language to begin with (default "node")' },
      list: { kind: 'flag', help: 'only say which templates there are' },
      output: OUTPUT,
    },
    examples: [
      ['petrel init shop', 'a function in TypeScript'],
      ['petrel init shop --template go', 'in Go'],
      ['petrel init --list', 'which languages there are'],
    ],
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'dev',
    summary: 'Deploy a source again whenever it changes, with logs and errors in the terminal',
    positionals: [{ name: 'path', required: true, help: 'source file, or folder with sources or a program' }],
    options: {
      ...SOURCE_OPTIONS,
      keep: { kind: 'flag', help: 'leave the function there at the end' },
      inspect: {
        kind: 'integer',
        value: 'port',
        help: 'let a debugger in on this port: Chrome, VS Code, or debugpy for Python',
      },
      output: OUTPUT,
    },
    examples: [
      ['petrel dev hello.ts', 'edit, save, and the next request meets it'],
      ['petrel dev ./shop --env STAGE=dev', 'a folder, with a variable'],
      ['petrel dev hello.ts --inspect 9229', 'attach a debugger; breakpoints hold for ten minutes'],
    ],
    load: () => import('./commands/dev.ts'),
  },
  {
    name: 'invoke',
    summary: 'Send a request to a function or service and print the answer',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      data: {
        kind: 'text',
        short: 'd',
        value: 'body',
        help: 'request body; @file reads a file, @- stdin; makes it a POST',
      },
      header: { kind: 'list', short: 'H', value: 'name: value', help: 'request header' },
      request: { kind: 'text', short: 'X', value: 'method', help: 'method (default GET, with a body POST)' },
      path: { kind: 'text', value: 'path', help: 'path and query (default /)' },
      include: { kind: 'flag', short: 'i', help: 'print status and headers, too' },
      save: {
        kind: 'text',
        value: 'name',
        help: 'keep the request in .petrel/requests, without credentials',
      },
      saved: { kind: 'text', value: 'name', help: 'send that one again; other options change it' },
      async: {
        kind: 'flag',
        help: 'only have it accepted; it is carried out later, and again when it fails',
      },
      wait: { kind: 'flag', help: 'with --async: wait until it is over and print the answer' },
    },
    examples: [
      ['petrel invoke hello', 'GET /'],
      [`petrel invoke hello -d '{"name":"Ada"}' -H 'content-type: application/json'`, 'POST a body'],
      ['petrel invoke hello --path /items?limit=2 -i', 'another path; show the headers'],
      ['petrel invoke hello -d @order.json --save order', 'and again: petrel invoke hello --saved order'],
      ['petrel invoke hello -d @order.json --async', 'print the id; petrel invocations get <id>'],
    ],
    load: () => import('./commands/invoke.ts'),
  },
  ...EVENT_COMMANDS,
  ...SERVICE_COMMANDS,
  {
    name: 'logs',
    summary: 'Print what the instances of a function or service wrote',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      follow: { kind: 'flag', short: 'f', help: 'keep printing, also of instances that start later' },
      tail: { kind: 'integer', value: 'lines', help: 'at most that many lines of each instance' },
    },
    examples: [
      ['petrel logs hello', 'what is there'],
      ['petrel logs -f hello --tail 10', 'the last lines, and what comes'],
    ],
    load: () => import('./commands/logs.ts'),
  },
  {
    name: 'builds',
    summary: 'Show what was built for functions; print a log, end a build or do it again',
    positionals: [
      { name: 'what', required: false, help: 'list (default), logs, cancel or rebuild' },
      { name: 'name', required: false, help: 'name of the function' },
    ],
    options: { namespace: NAMESPACE, all: ALL_NAMESPACES, output: OUTPUT },
    examples: [
      ['petrel builds', 'the last build of each function'],
      ['petrel builds logs shop', 'what it said; of one under way, what it says'],
      ['petrel builds cancel shop', 'end the one under way'],
      [
        'petrel builds rebuild shop',
        'again, with newer tools or dependencies, although the source is the same',
      ],
    ],
    load: () => import('./commands/builds.ts'),
  },
  {
    name: 'list',
    summary: 'List functions and services',
    positionals: [],
    options: { namespace: NAMESPACE, all: ALL_NAMESPACES, output: OUTPUT },
    examples: [
      ['petrel list', 'those of the default namespace'],
      ['petrel list -A -o json', 'all, machine-readable'],
    ],
    load: () => import('./commands/list.ts'),
  },
  {
    name: 'describe',
    summary: 'Show a function or service with its revisions, instances and events',
    positionals: [SERVICE],
    options: { namespace: NAMESPACE, output: OUTPUT },
    examples: [['petrel describe hello', 'why it is or is not ready']],
    load: () => import('./commands/describe.ts'),
  },
  {
    name: 'revisions',
    summary: 'List the revisions of a function or service, with the traffic of each',
    positionals: [SERVICE],
    options: { namespace: NAMESPACE, output: OUTPUT },
    examples: [['petrel revisions hello', 'newest first']],
    load: () => import('./commands/revisions.ts'),
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
      },
      promote: {
        kind: 'text',
        value: 'tag|revision',
        help: 'give everything to that revision (blue/green)',
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
    load: () => import('./commands/traffic.ts'),
  },
  {
    name: 'rollback',
    summary: 'Give all traffic back to the revision before',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      to: { kind: 'text', value: 'revision', help: 'to that one instead' },
      output: OUTPUT,
    },
    examples: [
      ['petrel rollback hello', 'to the ready revision before the one that serves'],
      ['petrel rollback hello --to hello-00003', 'to a certain one'],
    ],
    load: () => import('./commands/rollback.ts'),
  },
  {
    name: 'alias',
    summary: 'List, set or delete names for revisions of a function, each with a URL of its own',
    positionals: [SERVICE, { name: 'alias', required: false, help: 'for example prod' }],
    options: {
      namespace: NAMESPACE,
      to: { kind: 'text', value: 'revision', help: 'what it stands for; latest: always the newest' },
      also: { kind: 'text', value: 'revision=percent', help: 'a second revision and its part' },
      delete: { kind: 'flag', help: 'delete the alias; revisions stay' },
      output: OUTPUT,
    },
    examples: [
      ['petrel alias hello prod --to hello-00002', 'prod is that revision until it is set anew'],
      ['petrel alias hello prod --to 2 --also 3=10', 'a tenth of its requests try the next one'],
      ['petrel alias hello', 'the aliases that there are'],
      ['petrel alias hello prod --delete', 'its URL goes'],
    ],
    load: () => import('./commands/alias.ts'),
  },
  {
    name: 'publish',
    summary: 'Keep a revision for good, with a description, and give it an alias',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      revision: { kind: 'text', value: 'revision', help: 'which one (default: the newest that is ready)' },
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
    load: () => import('./commands/publish.ts'),
  },
  {
    name: 'diff',
    summary: 'Show what differs between two revisions: settings and files',
    positionals: [
      SERVICE,
      { name: 'from', required: false, help: 'revision (default: the one before)' },
      { name: 'to', required: false, help: 'revision (default: the newest)' },
    ],
    options: { namespace: NAMESPACE, output: OUTPUT },
    examples: [
      ['petrel diff hello', 'what the newest revision changed'],
      ['petrel diff hello 2 5', 'between two certain ones'],
    ],
    load: () => import('./commands/diff.ts'),
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
    load: () => import('./commands/canary.ts'),
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
    load: () => import('./commands/scale.ts'),
  },
  {
    name: 'delete',
    summary: 'Delete a function or service and everything it owns',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      'no-wait': { kind: 'flag', help: 'return before everything is gone' },
      output: OUTPUT,
    },
    examples: [['petrel delete hello', 'the function, its revisions and its instances']],
    load: () => import('./commands/delete.ts'),
  },
  {
    name: 'up',
    summary: 'Start the platform',
    positionals: [],
    options: {
      detach: DETACH,
      gateway: GATEWAY,
      api: API,
      kubeconfig: { kind: 'text', value: 'file', help: 'work against that API instead of an own one' },
      'ready-fd': READY_FD,
      output: OUTPUT,
    },
    examples: [
      ['petrel up', 'in the foreground; Ctrl-C stops it'],
      ['petrel up --detach', 'in the background'],
      ['petrel up --home ./other --gateway :0 --api :0', 'a second platform, beside the first'],
      ['petrel up --kubeconfig ./kubeconfig', 'everything but the API server'],
    ],
    load: () => import('./commands/up.ts'),
  },
  {
    name: 'down',
    summary: 'Stop the platform; everything deployed stays and is there after the next start',
    positionals: [],
    options: { now: { kind: 'flag', help: 'do not wait for requests in flight' }, output: OUTPUT },
    examples: [['petrel down', 'let requests end, stop the instances, close the store']],
    load: () => import('./commands/down.ts'),
  },
  {
    name: 'status',
    summary: 'Tell whether the platform runs, and where',
    positionals: [],
    options: { output: OUTPUT },
    examples: [
      ['petrel status', 'addresses, process, home'],
      ['petrel status -o json', 'machine-readable; exit code 13 when none runs'],
    ],
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'kubeconfig',
    summary: 'Print the path of the kubeconfig for kubectl and other Kubernetes clients',
    positionals: [],
    options: { raw: { kind: 'flag', help: 'print the content instead of the path' } },
    examples: [['export KUBECONFIG=$(petrel kubeconfig)', 'then kubectl get functions']],
    load: () => import('./commands/kubeconfig.ts'),
  },
  {
    name: 'fission',
    summary: "Print what Fission's own command needs to work with this platform",
    positionals: [{ name: 'env', required: true, help: 'the word env' }],
    options: { output: OUTPUT },
    examples: [['eval "$(petrel fission env)"', 'then: fission fn list']],
    load: () => import('./commands/fission.ts'),
  },
  {
    name: 'apiserver',
    summary: 'Run the Kubernetes API alone',
    positionals: [],
    options: { api: API, detach: DETACH, 'ready-fd': READY_FD, output: OUTPUT },
    examples: [
      ['petrel apiserver --home ./a', 'then, elsewhere:'],
      ['petrel up --home ./b --kubeconfig ./a/kubeconfig', 'everything else, against that API'],
    ],
    load: () => import('./commands/apiserver.ts'),
  },
  {
    name: 'doctor',
    summary: 'Check this machine and this home, and say what to fix',
    positionals: [],
    options: { output: OUTPUT },
    examples: [['petrel doctor', 'exit code 0 when nothing is broken']],
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'test',
    summary: 'Run all checks and tests of this checkout',
    positionals: [],
    options: {
      only: { kind: 'list', value: 'part', help: 'only that part' },
      list: { kind: 'flag', help: 'list the parts' },
    },
    examples: [
      ['petrel test', 'everything'],
      ['petrel test --only unit --only layers', 'two parts'],
    ],
    load: () => import('./commands/test.ts'),
  },
  {
    name: 'version',
    summary: 'Print the versions of Petrel and its Node',
    positionals: [],
    options: { output: OUTPUT },
    examples: [['petrel version', '']],
    load: () => import('./commands/version.ts'),
  },
];
