/** Options and arguments that many commands have. */
import type { OptionSpec, Positional } from './command.ts';

export const OUTPUT: OptionSpec = {
  kind: 'text',
  short: 'o',
  value: 'format',
  choices: ['json', 'yaml', 'table'],
  help: 'how to print',
};
export const NAMESPACE: OptionSpec = {
  kind: 'text',
  short: 'n',
  value: 'namespace',
  help: 'namespace (default "default")',
};
export const ALL_NAMESPACES: OptionSpec = { kind: 'flag', short: 'A', help: 'of all namespaces' };
export const SERVICE: Positional = { name: 'name', required: true, help: 'name of the function or service' };
