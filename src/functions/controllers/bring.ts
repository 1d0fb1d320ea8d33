/**
 * Brings what a runtime runs functions with when the first of them asks for it: programs too large to come with the platform. Nothing
 * happens before, and nothing is asked of the disk for runtimes that bring nothing.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { expand } from '../../kinds/container-env.ts';
import { type Runtime, runtimeDirectory } from '../../kinds/function.ts';
import type { Problem } from './service.ts';

/** Longest time that it may take, ms. */
const LIMIT_MS = 6 * 60_000;
/** A failure stands for this long; who asks later has it tried again, ms. */
const AGAIN_MS = 5000;
/** The end of what a failing tool said, characters. */
const TAIL = 600;

export interface Bringer {
  /** Resolves when the try that is under way, or that this begins, is over; undefined when nothing has to be brought. */
  bring(runtime: Runtime): Promise<void> | undefined;
  /** Why the last try failed. */
  problem(name: string): Problem | undefined;
}

export interface BringerOptions {
  runtimesDir: string;
  /** Path of the Node binary. */
  node: string;
  clock: Clock;
  log: Logger;
}

export function createBringer({ runtimesDir, node, clock, log }: BringerOptions): Bringer {
  const running = new Map<string, Promise<void>>();
  const failures = new Map<string, { at: number; problem: Problem }>();

  const attempt = async (name: string, argv: string[], install: string): Promise<void> => {
    log.info('bringing what a runtime needs', { runtime: name });
    const [command = '', ...args] = argv;
    try {
      await promisify(execFile)(command, args, { timeout: LIMIT_MS });
      failures.delete(name);
    } catch (error) {
      const { stderr = '', message } = error as Error & { stderr?: string };
      const said = (stderr.trim() || message).slice(-TAIL);
      const text = `Runtime "${name}" cannot run on this machine: what it needs could not be brought: ${said} ${install}`;
      failures.set(name, { at: clock.monotonic(), problem: { reason: 'RuntimeUnavailable', message: text } });
    } finally {
      running.delete(name);
    }
  };

  return {
    bring(runtime) {
      const { metadata, spec } = runtime;
      const { name } = metadata;
      const under = running.get(name);
      if (under !== undefined) return under;
      const values: Record<string, string> = {
        NODE: node,
        RUNTIME_DIR: runtimeDirectory(runtime, runtimesDir),
      };
      const resolve = (text: string) => expand(text, (key) => values[key]);
      const tool = spec.tools?.find(
        ({ bring = [], command }) => bring.length > 0 && !existsSync(resolve(command)),
      );
      if (tool === undefined) {
        failures.delete(name);
        return undefined;
      }
      const failed = failures.get(name);
      if (failed && clock.monotonic() - failed.at < AGAIN_MS) return undefined;
      const begun = attempt(name, (tool.bring ?? []).map(resolve), tool.install);
      running.set(name, begun);
      return begun;
    },
    problem: (name) => failures.get(name)?.problem,
  };
}
