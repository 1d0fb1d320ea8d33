/**
 * Starts the zygote that its arguments say, has it fork one instance with this process’s variables and output, and ends as that
 * does: `node forked.ts <argv of the zygote>`.
 */
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';

const [command = '', ...args] = process.argv.slice(2);
const zygote = spawn(command, args, {
  env: { PATH: process.env.PATH },
  stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
});
const control = zygote.stdio[3] as Socket;
let pid: number | undefined;
let unread = '';

function take(message: {
  ready?: true;
  failed?: string;
  error?: string;
  pid?: number;
  ended?: number;
  code?: number;
}) {
  const problem = message.failed ?? message.error;
  if (problem !== undefined) throw new Error(problem);
  if (message.ready) control.write(`${JSON.stringify({ id: 1, env: process.env })}\n`);
  pid ??= message.pid;
  if (message.ended === undefined || message.ended !== pid) return;
  const { code = 0 } = message;
  // As it ended, so does this.
  if (code > 128) process.kill(process.pid, code - 128);
  else process.exit(code);
}

control.setEncoding('utf8').on('data', (chunk: string) => {
  const lines = (unread + chunk).split('\n');
  unread = lines.pop() ?? '';
  for (const line of lines) take(JSON.parse(line));
});
