/** Options and arguments that many commands have. */
import type { OptionSpec, Positional } from './command.ts';
import { SERVICE_OPTIONS } from './deploy/service-options.ts';

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
  complete: 'namespaces',
};
export const ALL_NAMESPACES: OptionSpec = { kind: 'flag', short: 'A', help: 'of all namespaces' };
export const SERVICE: Positional = {
  name: 'name',
  required: true,
  help: 'name of the function or service',
  complete: 'functions',
};
export const API: OptionSpec = {
  kind: 'text',
  value: 'host:port',
  help: 'where the API listens (default 127.0.0.1:7443; port 0: any)',
};
export const GATEWAY: OptionSpec = {
  kind: 'text',
  value: 'host:port',
  help: 'where requests come in (default 127.0.0.1:8080; port 0: any)',
};

/** What a source is, and how a function made of it runs; for the commands that deploy one. */
export const SOURCE_OPTIONS: Record<string, OptionSpec> = {
  name: { kind: 'text', value: 'name', help: 'name of the function (default: of the file or folder)' },
  namespace: NAMESPACE,
  runtime: {
    kind: 'text',
    short: 'r',
    value: 'runtime',
    help: 'language environment (default: by file extension)',
    complete: 'runtimes',
  },
  entry: {
    kind: 'text',
    value: 'file',
    help: 'file in the folder to load (default: the runtime decides)',
  },
  handler: { kind: 'text', value: 'export', help: 'export or attribute to call (default: recognised)' },
  shape: {
    kind: 'text',
    value: 'shape',
    choices: ['handler', 'program'],
    help: 'call a handler, or run a program that listens on $PORT (default: recognised)',
  },
  command: {
    kind: 'text',
    value: "'command'",
    help: 'run this in the folder; it listens on $PORT (default: Procfile, package.json, an executable)',
  },
  env: { kind: 'list', short: 'e', value: 'K=V', help: 'variable; K- removes one' },
  'env-from': {
    kind: 'list',
    value: 'kind/name',
    help: 'all keys of configmap/<name> or secret/<name> as variables',
    complete: 'settings',
  },
  mount: {
    kind: 'list',
    value: 'kind/name:dir',
    help: 'the keys of configmap/<name> or secret/<name> as files in a folder',
    complete: 'settings',
  },
  concurrency: {
    kind: 'integer',
    short: 'c',
    value: 'n',
    help: 'requests that one instance works on at once; 0: unlimited',
  },
  min: { kind: 'integer', value: 'n', help: 'least instances' },
  max: { kind: 'integer', value: 'n', help: 'most instances; 0: unlimited' },
  memory: {
    kind: 'text',
    value: 'quantity',
    help: 'memory limit of an instance, for example 256Mi; 0: none',
  },
  cpu: { kind: 'text', value: 'quantity', help: 'CPU limit of an instance, for example 500m' },
  timeout: { kind: 'integer', value: 'seconds', help: 'for a whole request (default 300)' },
  gateway: { ...GATEWAY, help: `${GATEWAY.help}, when the platform has to be started` },
  api: { ...API, help: `${API.help}, when the platform has to be started` },
  ...SERVICE_OPTIONS,
};
