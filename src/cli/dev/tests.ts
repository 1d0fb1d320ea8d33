/** Tests of a function under development: the project's own, by its language's tool, and saved requests that say what they expect. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { Source } from '../deploy/source.ts';
import { checkRequests, expecting } from '../invoke/check.ts';
import { isShown, type Output } from '../output.ts';
import { folderOf, ownTests, type TestCommand, testCommand } from './own-tests.ts';

/** From the request to end to the end of tests that do not, milliseconds. */
const GRACE_MS = 2000;

export interface Tests {
  own: TestCommand | undefined;
  /** Where they run, and where saved requests are. */
  folder: string;
}

/** What came of one kind of tests. */
export interface Outcome {
  what: string;
  passed: boolean;
  ms: number;
  problems: string[];
}

export interface Tester {
  /** Begins anew; what runs is ended, since it is of a version that is no more. */
  begin(): void;
  /** Resolves when what was begun last is over. */
  over(): Promise<void>;
  /** Of what was begun last; undefined before it is over. */
  passed(): boolean | undefined;
  stop(): void;
}

/** What there is to test. Throws `InvalidArgument` when there is nothing. */
export function testsOf(source: Source, line: string | undefined): Tests {
  const folder = folderOf(source.path);
  // Tests beside a single file may be of anything.
  const own = line !== undefined ? testCommand(line) : source.directory ? ownTests(folder) : undefined;
  if (own === undefined && expecting(folder).length === 0)
    throw new PetrelError('InvalidArgument', `there are no tests for ${source.name}`, {
      why: `neither tests that the tools of a language know in ${folder}, nor saved requests with what they expect`,
      fix: `name a command: --test-command 'make test'; or keep an answer: petrel invoke ${source.name} --save home --expect`,
    });
  return { own, folder };
}

export interface TesterOptions {
  tests: Tests;
  source: Source;
  /** Of the function. */
  url: string;
  env: NodeJS.ProcessEnv;
  report: { tested(outcome: Outcome): void; log(line: string): void };
  out: Output;
}

export function createTester({ tests, source, url, env, report }: TesterOptions): Tester {
  let child: ChildProcess | undefined;
  let current = 0;
  let running: Promise<void> = Promise.resolve();
  let passed: boolean | undefined;

  const end = () => {
    const { pid } = child ?? {};
    if (pid === undefined) return;
    kill(pid, 'SIGTERM');
    setTimeout(() => kill(pid, 'SIGKILL'), GRACE_MS).unref();
  };

  const own = async ({ argv: [command, ...args], label }: TestCommand): Promise<Outcome> => {
    const began = performance.now();
    // A group of its own, so that what it starts ends with it.
    const started = spawn(command, args, {
      cwd: tests.folder,
      env: {
        ...env,
        // Behind the machine's own: for those who have no Node but the platform's.
        PATH: `${env.PATH ?? ''}:${dirname(process.execPath)}`,
        PETREL_FUNCTION_URL: url,
        PETREL_FUNCTION_NAME: source.name,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    child = started;
    for (const stream of [started.stdout, started.stderr]) lines(stream, report.log);
    const ended = await once(started, 'close').catch((error: NodeJS.ErrnoException) => error);
    if (child === started) child = undefined;
    const ms = Math.round(performance.now() - began);
    if (ended instanceof Error) {
      const missing = (ended as NodeJS.ErrnoException).code === 'ENOENT';
      const problem = missing
        ? `${command} was not found: install it, or name another with --test-command`
        : ended.message;
      return { what: label, passed: false, ms, problems: [problem] };
    }
    const [code, signal] = ended as [number | null, string | null];
    const problems = code === 0 ? [] : [signal ? `ended by ${signal}` : `ended with exit code ${code}`];
    return { what: label, passed: code === 0, ms, problems };
  };

  const contract = async (): Promise<Outcome | undefined> => {
    const requests = expecting(tests.folder);
    if (requests.length === 0) return undefined;
    const began = performance.now();
    const checked = await checkRequests(url, requests);
    const problems = checked.flatMap(({ name, problems }) =>
      problems.map((problem) => `${name}: ${problem}`),
    );
    const what = `${requests.length} saved request${requests.length === 1 ? '' : 's'}`;
    return { what, passed: problems.length === 0, ms: Math.round(performance.now() - began), problems };
  };

  const work = async (turn: number) => {
    const outcomes: boolean[] = [];
    for (const kind of [contract, async () => tests.own && own(tests.own)]) {
      if (turn !== current) return;
      const outcome = await kind();
      if (turn !== current) return;
      if (outcome === undefined) continue;
      report.tested(outcome);
      outcomes.push(outcome.passed);
    }
    passed = outcomes.every(Boolean);
  };

  return {
    begin() {
      current++;
      passed = undefined;
      end();
      const turn = current;
      const before = running;
      running = before.then(() => work(turn));
    },
    over: () => running,
    passed: () => passed,
    stop() {
      current++;
      end();
    },
  };
}

function kill(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {} // it has ended
}

function lines(stream: NodeJS.ReadableStream, print: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const all = (rest + chunk).split('\n');
    rest = all.pop() ?? '';
    all.filter(isShown).forEach(print);
  });
  stream.on('end', () => {
    if (rest !== '') print(rest);
  });
}
