/** The fields of a Function that are about what the platform does for it: asynchronous invocation, state, being a tool. */
import { forbidden, invalid, required, tooLong } from '../field.ts';
import { dns1035Label, dns1123Label } from '../name.ts';
import type { FieldError } from '../object.ts';
import { check } from './pod-parts.ts';
import type { Untyped } from './untyped.ts';

const DAY = 86_400;
/** Field → least and greatest value; `whole`: no fractions. */
const RANGES: [path: string, low: number, high: number, whole?: 'whole'][] = [
  ['invocation.maxAttempts', 1, 1000, 'whole'],
  ['invocation.backoffSeconds', 0, DAY],
  ['invocation.backoffCapSeconds', 0, 7 * DAY],
  ['invocation.jitter', 0, 1],
  ['invocation.maxAgeSeconds', 1, 30 * DAY, 'whole'],
  ['state.defaultTtlSeconds', 0, 3650 * DAY, 'whole'],
  ['state.maxValueBytes', 1, 16 * 1024 * 1024, 'whole'],
  ['state.maxKeys', 1, 10_000_000, 'whole'],
];
/** Bytes of JSON; a client gets all schemas of a namespace in one answer. */
const SCHEMA_LIMIT = 65_536;
const DESCRIPTION_LIMIT = 4096;
/** Source: Model Context Protocol 2025-11-25, server/tools, "Tool Names". */
const TOOL_NAME = /^[A-Za-z0-9_.-]{1,128}$/;

function validateRanges(spec: Untyped): FieldError[] {
  return RANGES.flatMap(([path, low, high, whole]) => {
    const [section = '', field = ''] = path.split('.');
    const value = spec[section]?.[field];
    if (value === undefined || value === null) return [];
    if (value >= low && value <= high && (whole === undefined || Number.isInteger(value))) return [];
    return [invalid(`spec.${path}`, value, `must be between ${low} and ${high}, inclusive`)];
  });
}

function validateDestination(destination: Untyped, path: string): FieldError[] {
  if (destination === undefined || destination === null) return [];
  const { function: name, url } = destination;
  if (name && url) return [forbidden(path, 'may not have both `function` and `url`')];
  if (name) return check(dns1035Label, name, `${path}.function`);
  if (!url) return [required(path, 'must have one of `function` and `url`')];
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    return [invalid(`${path}.url`, url, 'must be an absolute URL of http or https')];
  return [];
}

function validateTool(tool: Untyped): FieldError[] {
  if (tool === undefined || tool === null) return [];
  const errors: FieldError[] = [];
  const { description, name, inputSchema: schema } = tool;
  if (!description) errors.push(required('spec.tool.description', 'what the tool does, for who chooses it'));
  else if (Buffer.byteLength(description) > DESCRIPTION_LIMIT)
    errors.push(tooLong('spec.tool.description', DESCRIPTION_LIMIT));
  if (name !== undefined && !TOOL_NAME.test(name))
    errors.push(invalid('spec.tool.name', name, 'must be 1 to 128 letters, digits, "_", "-" and "."'));
  if (schema === undefined || schema === null) return errors;
  const path = 'spec.tool.inputSchema';
  if (typeof schema !== 'object' || Array.isArray(schema) || schema.type !== 'object')
    errors.push(invalid(path, schema, 'must be a JSON Schema with the type "object"'));
  else if (Buffer.byteLength(JSON.stringify(schema)) > SCHEMA_LIMIT) errors.push(tooLong(path, SCHEMA_LIMIT));
  return errors;
}

/** Validates `spec.invocation`, `spec.state` and `spec.tool`. */
export function validateServices(spec: Untyped): FieldError[] {
  const { invocation, state, tool } = spec;
  return [
    ...validateRanges(spec),
    ...validateDestination(invocation?.onSuccess, 'spec.invocation.onSuccess'),
    ...validateDestination(invocation?.onFailure, 'spec.invocation.onFailure'),
    ...(state?.keyspace === undefined ? [] : check(dns1123Label, state.keyspace, 'spec.state.keyspace')),
    ...validateTool(tool),
  ];
}
