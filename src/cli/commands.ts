/** All commands, in the order in which help shows them. */
import type { CommandSpec, OptionSpec } from './command.ts';
import { SHELLS } from './complete/shells.ts';
import { ACCESS_OPTIONS } from './deploy/access-options.ts';
import { BUILD_OPTIONS } from './deploy/build-options.ts';
import { EVENT_COMMANDS } from './events/commands.ts';
import { ALL_NAMESPACES, API, GATEWAY, NAMESPACE, OUTPUT, SERVICE, SOURCE_OPTIONS } from './options.ts';
import { SERVICE_COMMANDS } from './services/commands.ts';
import { TRAFFIC_COMMANDS } from './traffic/commands.ts';

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
        help: 'source file, folder with sources or a program, executable, archive or its URL, git repository (#branch:folder), image (oci://registry/name:tag), YAML file or folder, - for YAML on stdin',
        complete: 'files',
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
      ['petrel deploy oci://registry.example.com/shop:1.2', 'an image; it listens on $PORT'],
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
    positionals: [{ name: 'folder', required: false, help: 'where to (default: here)', complete: 'folders' }],
    options: {
      template: {
        kind: 'text',
        short: 't',
        value: 'name',
        help: 'language to begin with (default "node")',
        complete: 'templates',
      },
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
    positionals: [
      {
        name: 'path',
        required: true,
        help: 'source file, or folder with sources or a program',
        complete: 'files',
      },
    ],
    options: {
      ...SOURCE_OPTIONS,
      keep: { kind: 'flag', help: 'leave the function there at the end' },
      test: {
        kind: 'flag',
        help: "after every change, run the project's own tests, and saved requests that expect something",
      },
      'test-command': {
        kind: 'text',
        value: "'command'",
        help: 'run this as the tests; $PETREL_FUNCTION_URL is the function',
      },
      once: { kind: 'flag', help: 'do not watch: end when it answers, or when the tests are over' },
      debug: {
        kind: 'optional',
        value: 'port',
        help: "let a debugger in on this port of loopback (default: the language's usual one)",
      },
      inspect: { kind: 'integer', value: 'port', help: 'the same as --debug=<port>' },
      output: OUTPUT,
    },
    examples: [
      ['petrel dev hello.ts', 'edit, save, and the next request meets it'],
      ['petrel dev ./shop --env STAGE=dev', 'a folder, with a variable'],
      ['petrel dev ./shop --test', 'run its tests after every change'],
      ['petrel dev ./shop --test --once', 'for CI: deploy, test, delete; ends with 1 when a test fails'],
      [
        'petrel dev hello.ts --debug',
        'attach a debugger; a request may stand at a breakpoint for ten minutes',
      ],
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
      saved: {
        kind: 'text',
        value: 'name',
        help: 'send that one again; other options change it',
        complete: 'requests',
      },
      expect: { kind: 'flag', help: 'with --save: keep the answer too, as what is expected from now on' },
      check: {
        kind: 'flag',
        help: 'send the saved requests that expect something; end with 1 when an answer differs',
      },
      async: {
        kind: 'flag',
        help: 'only have it accepted; it is carried out later, and again when it fails',
      },
      wait: { kind: 'flag', help: 'with --async: wait until it is over and print the answer' },
      output: { ...OUTPUT, help: 'how to print what --check finds, and the id that --async gets' },
    },
    examples: [
      ['petrel invoke hello', 'GET /'],
      [`petrel invoke hello -d '{"name":"Ada"}' -H 'content-type: application/json'`, 'POST a body'],
      ['petrel invoke hello --path /items?limit=2 -i', 'another path; show the headers'],
      ['petrel invoke hello -d @order.json --save order', 'and again: petrel invoke hello --saved order'],
      ['petrel invoke hello --save home --expect', 'keep request and answer as a test'],
      ['petrel invoke hello --check', 'run those tests'],
      ['petrel invoke hello -d @order.json --async', 'print the id; petrel invocations get <id>'],
    ],
    load: () => import('./commands/invoke.ts'),
  },
  ...EVENT_COMMANDS,
  ...SERVICE_COMMANDS,
  {
    name: 'logs',
    summary: 'Print what the instances of a function or service wrote, also those that are gone',
    positionals: [SERVICE],
    options: {
      namespace: NAMESPACE,
      follow: { kind: 'flag', short: 'f', help: 'keep printing, also of instances that start later' },
      tail: { kind: 'integer', value: 'lines', help: 'only the last lines' },
      since: { kind: 'text', value: '10m|time', help: 'only lines that are newer' },
      instance: {
        kind: 'text',
        value: 'name',
        help: 'only of this instance; the end of its name will do',
        complete: 'instances',
      },
      previous: { kind: 'flag', short: 'p', help: 'only of the instance that crashed last, or ended last' },
      output: {
        kind: 'text',
        short: 'o',
        value: 'format',
        choices: ['text', 'json'],
        help: 'json: one object per line',
      },
    },
    examples: [
      ['petrel logs hello', 'what is there'],
      ['petrel logs -f hello --tail 10', 'the last lines, and what comes'],
      ['petrel logs hello --previous', 'what the instance said that crashed'],
      ['petrel logs hello --since 1h -o json', 'with time, instance and revision'],
    ],
    load: () => import('./commands/logs.ts'),
  },
  {
    name: 'builds',
    summary: 'Show what was built for functions; print a log, end a build or do it again',
    positionals: [
      {
        name: 'what',
        required: false,
        help: 'list (default), logs, cancel or rebuild',
        complete: ['list', 'logs', 'cancel', 'rebuild'],
      },
      { name: 'name', required: false, help: 'name of the function', complete: 'functions' },
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
  ...TRAFFIC_COMMANDS,
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
    name: 'completion',
    summary: 'Print a script that has a shell complete commands, options and names',
    positionals: [
      {
        name: 'shell',
        required: false,
        help: 'bash, zsh or fish (default: that of $SHELL)',
        complete: SHELLS,
      },
    ],
    options: {},
    examples: [
      ['source <(petrel completion bash)', 'in ~/.bashrc'],
      ['source <(petrel completion zsh)', 'in ~/.zshrc, after compinit'],
      ['petrel completion fish > ~/.config/fish/completions/petrel.fish', 'once'],
    ],
    load: () => import('./commands/completion.ts'),
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
