/** Evaluates JSONata in a thread of its own: an expression may be anybody's, and the language can loop. One message at a time. */
import { parentPort } from 'node:worker_threads';
import { loadClient } from '../../../clients/load.ts';
import type { Task, TaskResult } from './evaluator.ts';

/** Compiled expressions that are kept. */
const KEPT = 256;
/** Largest result as JSON, characters. */
const MAX_RESULT = 1024 * 1024;

const { jsonata } = await loadClient('jsonata');
const compiled = new Map<string, ReturnType<typeof jsonata>>();

function compile(expression: string): ReturnType<typeof jsonata> {
  let found = compiled.get(expression);
  if (found === undefined) {
    if (compiled.size >= KEPT) compiled.clear();
    found = jsonata(expression);
    compiled.set(expression, found);
  }
  return found;
}

/** What JSONata throws is a plain object with a position. */
function textOf(error: unknown): string {
  const { message, position, code } = (error ?? {}) as { message?: string; position?: number; code?: string };
  const where = position === undefined ? '' : ` at character ${position}`;
  return `${message ?? String(error)}${where}${code === undefined ? '' : ` (${code})`}`;
}

async function evaluate({ expression, input }: Task): Promise<TaskResult> {
  try {
    const ready = compile(expression);
    if (input === undefined) return { ok: true, output: '' };
    const output = JSON.stringify(await ready.evaluate(JSON.parse(input)));
    if (output === undefined) return { ok: false, message: 'the expression gives nothing' };
    if (output.length > MAX_RESULT) return { ok: false, message: 'the result is larger than 1 MiB' };
    return { ok: true, output };
  } catch (error) {
    return { ok: false, message: textOf(error) };
  }
}

parentPort?.on(
  'message',
  (task: Task) => void evaluate(task).then((result) => parentPort?.postMessage(result)),
);
parentPort?.postMessage('ready');
