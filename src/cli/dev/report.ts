/** What `petrel dev` says: lines for people, or one JSON object per line for tools. */
import type { Output } from '../output.ts';
import { type Debugging, howToAttach } from './debugging.ts';
import type { Round } from './loop.ts';
import type { Outcome } from './tests.ts';

export interface Report {
  /** A version answers, as the platform's gateway tells. */
  round(round: Round, gateway: string | null): void;
  /** `code` is where its debugger sees the source. */
  debugger(debugging: Debugging, code: string): void;
  /** A line that the function wrote. */
  log(line: string): void;
  error(error: unknown): void;
  tested(outcome: Outcome): void;
}

/** What is spoken by debuggers that know files by their paths; the others know them by the names of packages. */
const SEES_PATHS = new Set(['inspector', 'debugpy', 'rdbg', 'xdebug']);

export function createReport(out: Output, watching: boolean): Report {
  const json = out.format === 'json';
  let first = true;
  const object = (value: object) => out.line(JSON.stringify(value));
  return {
    round({ fn: { metadata, status }, ms }, gateway) {
      const { name, namespace = 'default' } = metadata;
      const revision = status?.latestReadyRevisionName ?? '';
      const took = `${Math.round(ms)} ms`;
      if (json) return object({ name, namespace, revision, url: status?.url ?? null, ms: Math.round(ms) });
      if (!first) return out.note(`↻ ${revision} answers (${took})`);
      first = false;
      out.line(status?.url ?? '');
      const save = watching ? ' Save a file, and the next request meets it.' : '';
      out.note(`${namespace}/${name} is ready (${took}).${save}`);
      out.note(`  curl http://${gateway}/fn/${namespace}/${name}/    # without DNS`);
    },
    debugger(debugging, code) {
      const { protocol, port } = debugging;
      if (json) return object({ debugger: { protocol, port, code } });
      out.note(howToAttach(debugging));
      if (SEES_PATHS.has(protocol)) out.note(`  it sees the source at ${code}`);
    },
    log: (line) => (json ? object({ log: line }) : out.line(line)),
    error: (error) => void out.failure(error, true),
    tested(outcome) {
      if (json) return object({ tests: outcome });
      const { what, passed, ms, problems } = outcome;
      const took = ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
      out.note(`${passed ? '✔' : '✖'} ${what} (${took})`);
      for (const problem of problems) out.note(`  ${problem.replaceAll('\n', '\n  ')}`);
    },
  };
}

/** Where requests for the function go, whatever names resolve. */
export const functionUrl = (gateway: string | null, namespace: string, name: string): string =>
  `http://${gateway}/fn/${namespace}/${name}`;
