/** Options of `deploy` and `dev` about what the platform does for a function, and the fields of a Function that they become. */
import { readFileSync } from 'node:fs';
import { PetrelError } from '../../base/errors.ts';
import type {
  FunctionInvocation,
  FunctionSpec,
  FunctionTool,
  InvocationDestination,
} from '../../kinds/function.ts';
import type { Args } from '../args.ts';
import type { OptionSpec } from '../command.ts';

export const SERVICE_OPTIONS: Record<string, OptionSpec> = {
  state: {
    kind: 'text',
    value: 'keyspace',
    help: 'give it state: own, or a keyspace that functions share; none',
  },
  tool: { kind: 'text', value: "'description'", help: 'offer it as a tool to MCP clients; none' },
  'tool-schema': {
    kind: 'text',
    value: 'schema',
    help: "JSON Schema of the tool's arguments; @file reads a file",
  },
  attempts: { kind: 'integer', value: 'n', help: 'asynchronous: attempts in all (default 3)' },
  'max-age': {
    kind: 'integer',
    value: 'seconds',
    help: 'asynchronous: not tried again later than this (default 21600)',
  },
  'on-success': {
    kind: 'text',
    value: 'where',
    help: 'asynchronous: results go to this function or URL; none',
  },
  'on-failure': {
    kind: 'text',
    value: 'where',
    help: 'asynchronous: what failed for good goes to this function or URL; none',
  },
};

const NONE = 'none';
const OWN = 'own';

/** The fields as the options say them, on top of `current`; an undefined one is to be taken away. Throws `InvalidArgument`. */
export function servicesOf(
  args: Args,
  current: Partial<FunctionSpec> | undefined,
): Pick<FunctionSpec, 'state' | 'tool' | 'invocation'> {
  return {
    state: stateOf(args.text('state'), current?.state),
    tool: toolOf(args, current?.tool),
    invocation: invocationOf(args, current?.invocation),
  };
}

function stateOf(text: string | undefined, current: FunctionSpec['state']): FunctionSpec['state'] {
  if (text === undefined) return current;
  if (text === NONE) return undefined;
  const { keyspace: _, ...kept } = current ?? {};
  return text === OWN ? kept : { ...kept, keyspace: text };
}

function toolOf(args: Args, current: FunctionTool | undefined): FunctionTool | undefined {
  const description = args.text('tool');
  const schema = args.text('tool-schema');
  if (description === NONE) return undefined;
  if (description === undefined && schema === undefined) return current;
  const tool = { ...current, ...(description === undefined ? {} : { description }) };
  if (tool.description === undefined) {
    throw new PetrelError('InvalidArgument', '--tool-schema is for a function that is a tool', {
      why: 'nothing says what the tool does',
      fix: "add --tool 'what it does'",
    });
  }
  return {
    ...tool,
    description: tool.description,
    ...(schema === undefined ? {} : { inputSchema: schemaOf(schema) }),
  };
}

function schemaOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text) as Record<
      string,
      unknown
    >;
  } catch (error) {
    throw new PetrelError('InvalidArgument', `--tool-schema ${text} is no JSON`, {
      why: (error as Error).message,
      fix: `write it as JSON, such as '{"type":"object"}', or give a file: --tool-schema @schema.json`,
      cause: error,
    });
  }
}

function invocationOf(args: Args, current: FunctionInvocation | undefined): FunctionInvocation | undefined {
  const invocation: FunctionInvocation = { ...current };
  const attempts = args.integer('attempts');
  const age = args.integer('max-age');
  if (attempts !== undefined) invocation.maxAttempts = attempts;
  if (age !== undefined) invocation.maxAgeSeconds = age;
  for (const [option, field] of [
    ['on-success', 'onSuccess'],
    ['on-failure', 'onFailure'],
  ] as const) {
    const where = args.text(option);
    if (where === NONE) delete invocation[field];
    else if (where !== undefined) invocation[field] = destinationOf(where);
  }
  return Object.keys(invocation).length > 0 ? invocation : undefined;
}

const destinationOf = (where: string): InvocationDestination =>
  where.includes('://') ? { url: where } : { function: where };
