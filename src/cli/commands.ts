/** All commands, in the order in which help shows them. */
import type { CommandSpec, OptionSpec } from './command.ts';

const OUTPUT: OptionSpec = {
  kind: 'text',
  short: 'o',
  value: 'format',
  choices: ['json', 'yaml', 'table'],
  help: 'how to print',
};

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'kubeconfig',
    summary: 'Print the path of the kubeconfig for kubectl and other Kubernetes clients',
    positionals: [],
    options: { raw: { kind: 'flag', help: 'print the content instead of the path' } },
    examples: [['export KUBECONFIG=$(petrel kubeconfig)', 'then kubectl get functions']],
    load: () => import('./commands/kubeconfig.ts'),
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
