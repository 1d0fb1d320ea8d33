/**
 * The zygotes of this machine: one per kind of instance and tenant, started when the first such instance is wanted, given up after
 * failures. Whoever finds none ready starts its process as if there were no such thing.
 */
import type { Logger } from '../../../../base/log.ts';
import type { Capability, ZygoteSpec } from '../driver.ts';
import type { Privileges } from './script.ts';
import type { Sandbox } from './self-test.ts';
import { startZygote, type Zygote } from './zygote.ts';

export interface Zygotes {
  /** The one that can fork such instances now; undefined: there is none (yet). */
  find(spec: ZygoteSpec): Zygote | undefined;
  /** The same, but waits for one that is about to be ready. */
  await(spec: ZygoteSpec): Promise<Zygote | undefined>;
  /** A fork has succeeded: failures before it do not count any more. */
  succeeded(spec: ZygoteSpec): void;
  /** A fork has failed: after a few the zygote is given up. */
  failed(spec: ZygoteSpec, zygote: Zygote, why: string): void;
  /** Ends all; what they have forked lives on. */
  end(): void;
}

export interface ZygotesOptions {
  sandbox: Sandbox;
  /** Argument by which this platform's processes are recognised. */
  marker: string;
  /** Stands in the variables of a zygote, and so of what it forks: whose processes these are can be told from outside. */
  runDir: string;
  log: Logger;
  /** Hears when it is known whether the instances of a kind are forked. */
  told(key: string, state: Capability): void;
  delayMs?: number | undefined;
}

/** From the first wish for an instance to the start of its zygote: the platform and the first instances come first, ms. */
const DELAY_MS = 1000;
/** Zygotes at once; the one least recently used makes room. */
const MAX_ZYGOTES = 16;
/** Ends, failed tests and failed forks after which a kind of instance is not forked any more. */
const MAX_FAILURES = 3;

interface Entry {
  zygote: Zygote | undefined;
  delay: NodeJS.Timeout | undefined;
  /** Resolves when the delay is over. */
  begun: PromiseWithResolvers<void>;
  failures: number;
  /** Why the last fork failed. */
  why: string;
  lastUsed: number;
}

const FORKING: Capability = {
  available: true,
  reason: 'Forking',
  message: 'instances are forked from a warm process',
};

/** argv that runs a zygote so that it may make namespaces, and ends with the platform. */
function zygoteLaunch({ tools, privileges }: Sandbox, command: string[], marker: string): string[] {
  const inUserNamespace = (each: Privileges) => each.kind === 'same' && each.userNamespace;
  const user = inUserNamespace(privileges) ? [tools.unshare, '--user', '--map-root-user', '--'] : [];
  return [tools.setpriv, '--pdeathsig=KILL', '--no-new-privs', ...user, ...command, marker];
}

export function createZygotes(options: ZygotesOptions): Zygotes {
  const { sandbox, marker, runDir, log, told, delayMs = DELAY_MS } = options;
  const entries = new Map<string, Entry>();
  let uses = 0;

  const start = (spec: ZygoteSpec, entry: Entry) => {
    entry.delay = undefined;
    entry.begun.resolve();
    const running = [...entries.values()].filter(({ zygote }) => zygote !== undefined);
    if (running.length >= MAX_ZYGOTES) {
      const [oldest] = running.sort((a, b) => a.lastUsed - b.lastUsed);
      const { zygote: leaving } = oldest!;
      oldest!.zygote = undefined;
      leaving?.end();
    }
    const zygote = startZygote(zygoteLaunch(sandbox, spec.command, marker), {
      ...spec.env,
      PETREL_RUN_DIR: runDir,
    });
    entry.zygote = zygote;
    void zygote.ready.then((ready) => ready && entry.failures < MAX_FAILURES && told(spec.key, FORKING));
    void zygote.over.then(() => {
      if (entry.zygote !== zygote) return;
      entry.zygote = undefined;
      entry.failures++;
      const further = entry.failures < MAX_FAILURES;
      const why = entry.why || zygote.why;
      if (!further)
        told(spec.key, {
          available: false,
          reason: 'GivenUp',
          message: `instances are started instead of being forked: ${why}`,
        });
      log.warn(further ? 'a zygote ended' : 'a zygote is given up: its instances are started from now on', {
        zygote: spec.key,
        why,
      });
    });
  };

  const entryOf = ({ key, command, env }: ZygoteSpec): Entry => {
    const id = JSON.stringify([key, command, env]);
    let entry = entries.get(id);
    if (entry === undefined) {
      entry = {
        zygote: undefined,
        delay: undefined,
        begun: Promise.withResolvers(),
        failures: 0,
        why: '',
        lastUsed: 0,
      };
      entries.set(id, entry);
    }
    return entry;
  };

  const find = (spec: ZygoteSpec): Zygote | undefined => {
    const entry = entryOf(spec);
    entry.lastUsed = ++uses;
    if (entry.zygote?.state === 'ready') return entry.zygote;
    if (entry.zygote === undefined && entry.failures < MAX_FAILURES && entry.delay === undefined) {
      entry.begun = Promise.withResolvers();
      entry.delay = setTimeout(() => start(spec, entry), delayMs).unref();
    }
    return undefined;
  };

  return {
    find,
    async await(spec) {
      const found = find(spec);
      const entry = entryOf(spec);
      if (found !== undefined || (entry.zygote === undefined && entry.delay === undefined)) return found;
      await entry.begun.promise;
      return (await entry.zygote?.ready) ? find(spec) : undefined;
    },
    succeeded(spec) {
      Object.assign(entryOf(spec), { failures: 0, why: '' });
    },
    failed(spec, zygote, why) {
      const entry = entryOf(spec);
      entry.failures++;
      entry.why = why;
      log.warn('an instance was not forked', { zygote: spec.key, why });
      if (entry.failures >= MAX_FAILURES) zygote.end();
    },
    end() {
      for (const entry of entries.values()) {
        const { zygote } = entry;
        clearTimeout(entry.delay);
        entry.begun.resolve();
        entry.zygote = undefined;
        entry.failures = MAX_FAILURES;
        zygote?.end();
      }
    },
  };
}
