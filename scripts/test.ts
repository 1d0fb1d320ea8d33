/**
 * Everything that must be green before a change lands: checks and tests, in parts. `petrel test` runs it; the output of a
 * part is shown when it fails, and each test that was skipped with its reason.
 */
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Tally } from './tally.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name: string) => join(ROOT, 'node_modules', '.bin', name);

interface Part {
  name: string;
  /** A check: its command. */
  command?: string[];
  /** Tests: the files. */
  files?: string[];
  /** Files that run at once; 1 where tests start platforms and measure themselves against time limits. */
  concurrency?: number;
}

/** In stages: the parts of one stage run side by side, a stage begins when the one before is done. */
const STAGES: Part[][] = [
  [
    { name: 'types', command: [bin('tsc'), '--noEmit', '-p', ROOT] },
    { name: 'style', command: [bin('biome'), 'ci', '--colors=off', '--error-on-warnings', ROOT] },
    { name: 'layers', command: [process.execPath, join(ROOT, 'scripts', 'check-layers.ts')] },
    { name: 'toolchains', command: [process.execPath, join(ROOT, 'scripts', 'toolchains.ts')] },
  ],
  [{ name: 'unit', files: ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'] }],
  [{ name: 'runtimes', files: ['runtimes/**/*.test.ts'] }],
  [{ name: 'conformance', files: ['test/conformance/**/*.test.ts'], concurrency: 1 }],
  [{ name: 'e2e', files: ['test/e2e/**/*.test.ts'], concurrency: 1 }],
  [{ name: 'faults', files: ['test/faults/**/*.test.ts'], concurrency: 1 }],
];

interface Outcome {
  part: string;
  ok: boolean;
  seconds: number;
  output: string;
  tally: Tally | undefined;
}

async function runPart(part: Part, scratch: string): Promise<Outcome> {
  const started = performance.now();
  const report = join(scratch, `${part.name}.json`);
  const command = part.command ?? testCommand(part, report);
  if (command === undefined) {
    const output = `no test files match ${part.files?.join(', ')}`;
    return { part: part.name, ok: false, seconds: 0, output, tally: undefined };
  }
  const { code, output } = await capture(command);
  const tally = part.files ? readTally(report) : undefined;
  // A part that ran nothing must not look green.
  const ok =
    code === 0 &&
    (part.files === undefined || (tally !== undefined && tally.passed > 0 && tally.failed === 0));
  return { part: part.name, ok, seconds: (performance.now() - started) / 1000, output, tally };
}

/** Undefined when there is nothing to run: without files, node would look for tests everywhere. */
function testCommand(part: Part, report: string): string[] | undefined {
  const files = (part.files ?? []).flatMap((pattern) =>
    globSync(pattern, { cwd: ROOT, exclude: (name) => name === 'node_modules' }),
  );
  if (files.length === 0) return undefined;
  return [
    process.execPath,
    '--test',
    `--test-concurrency=${part.concurrency ?? availableParallelism()}`,
    '--test-timeout=300000',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(ROOT, 'scripts', 'tally.ts')}`,
    `--test-reporter-destination=${report}`,
    ...files.sort(),
  ];
}

/** A part that says nothing for longer hangs (a test may take 5 minutes); node then names the file that it was in. How long a part takes is the machine's affair. Milliseconds. */
const SILENT_MS = 10 * 60_000;

function capture(command: string[]): Promise<{ code: number; output: string }> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      NO_COLOR: '1',
      FORCE_COLOR: undefined,
    },
  });
  const silent = setTimeout(() => child.kill('SIGINT'), SILENT_MS);
  const chunks: Buffer[] = [];
  const said = (chunk: Buffer) => {
    chunks.push(chunk);
    silent.refresh();
  };
  child.stdout.on('data', said);
  child.stderr.on('data', said);
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 1, output: `${program}: ${error.message}` }));
    child.on('close', (code) => {
      clearTimeout(silent);
      resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString() });
    });
  });
}

function readTally(report: string): Tally | undefined {
  try {
    return JSON.parse(readFileSync(report, 'utf8')) as Tally;
  } catch {
    return undefined;
  }
}

function show({ part, ok, seconds, output, tally }: Outcome): void {
  const counts = tally
    ? `${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped`
    : '';
  process.stdout.write(
    `${ok ? 'ok    ' : 'FAILED'}  ${part.padEnd(12)} ${seconds.toFixed(1).padStart(6)} s  ${counts}\n`,
  );
  for (const { name, reason } of tally?.skipped ?? [])
    process.stdout.write(`        skipped: ${name}: ${reason}\n`);
  // What passed would bury what did not.
  const told = tally ? output.replaceAll(/^\s*✔ .*\n/gm, '') : output;
  if (!ok) process.stdout.write(`${told.trimEnd()}\n\n`);
}

const { values } = parseArgs({
  options: { only: { type: 'string', multiple: true }, list: { type: 'boolean' } },
});
const names = STAGES.flat().map((part) => part.name);
const unknown = values.only?.find((name) => !names.includes(name));
if (values.list || unknown !== undefined) {
  if (unknown !== undefined)
    process.stderr.write(`error: there is no part "${unknown}"\n  fix: use one of ${names.join(', ')}\n`);
  else process.stdout.write(`${names.join('\n')}\n`);
  process.exit(unknown === undefined ? 0 : 2);
}
const scratch = mkdtempSync(join(tmpdir(), 'petrel-test-'));
const outcomes: Outcome[] = [];
try {
  for (const stage of STAGES) {
    const wanted = stage.filter((part) => !values.only || values.only.includes(part.name));
    const running = wanted.map(async (part) => {
      const outcome = await runPart(part, scratch);
      show(outcome);
      outcomes.push(outcome);
    });
    await Promise.all(running);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const sum = (count: (outcome: Outcome) => number) =>
  outcomes.reduce((total, outcome) => total + count(outcome), 0);
// A check counts as one test.
const passed = sum(({ ok, tally }) => tally?.passed ?? (ok ? 1 : 0));
const failed = sum(({ ok, tally }) => (tally ? Math.max(tally.failed, ok ? 0 : 1) : ok ? 0 : 1));
process.stdout.write(
  `${passed} passed, ${failed} failed, ${sum(({ tally }) => tally?.skipped.length ?? 0)} skipped\n`,
);
process.exitCode = failed === 0 ? 0 : 1;
