/** What all behaviours of the contract have in common: one language, its titles and skips, and the words that tests use. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ResetError } from '../client.ts';
import type { Caller } from '../http-client.ts';
import { freePort, Instance } from '../instance.ts';
import type { Language, Source } from '../language.ts';

export const MEGABYTE = 1048576;

export interface Suite {
  readonly language: Language;
  readonly title: string;
  /** Whether requests travel as frames. */
  readonly mux: boolean;
  readonly skip: string | false;
  readonly env: Record<string, string>;
  /** Titles that a language may lack; filled as tests are declared. */
  readonly asked: Set<string>;
  /** A reason printed instead of the test, where the language has one. */
  lack(name: string): string | undefined;
  check(name: string, run: (t: TestContext) => void | Promise<void>): void;
  /** A test for those whose requests travel as frames. */
  framed(name: string, run: (t: TestContext) => void | Promise<void>): void;
}

export function createSuite(language: Language): Suite {
  const mux = language.transport === 'mux';
  const asked = new Set<string>();
  const lack = (name: string): string | undefined => {
    asked.add(name);
    return language.lacks[name];
  };
  const check: Suite['check'] = (name, run) => void test(name, { skip: lack(name) ?? false }, run);
  return {
    language,
    title: language.title ?? language.runtime,
    mux,
    skip: language.missing ?? false,
    env: language.env ?? {},
    asked,
    lack,
    check,
    framed(name, run) {
      if (mux) check(name, run);
    },
  };
}

/** A request that ended without an answer: by RESET with the code where there are frames, by the end of the connection elsewhere. */
export const isReset = (code: string) => (error: unknown) =>
  error instanceof ResetError
    ? error.code === code
    : /ECONNRESET|socket hang up|aborted|ECONNREFUSED|ENOENT|EPIPE|Parse Error/.test(
        `${(error as NodeJS.ErrnoException).code} ${error}`,
      );

/** Loads a source, built first where its runtime builds. */
export const specialise = (instance: Instance, { files, ...how }: Source, params: object = {}) =>
  instance.specialise(files, { ...how, ...params });

/** An instance that has loaded everything that a language answers, and a caller of it. */
export async function loaded({
  language: { runtime, everything, transport },
  env,
}: Suite): Promise<{ instance: Instance; data: Caller }> {
  const instance = await Instance.start({ runtime, env: { ...env, PETREL_SECRET: 'of the platform' } });
  try {
    const port = transport === 'http1' ? await freePort() : 40123;
    const result = await specialise(instance, everything, { port });
    assert.equal(result.transport.kind, transport);
    assert.equal(typeof result.loadMs, 'number');
    return { instance, data: await instance.caller() };
  } catch (error) {
    await instance.stop();
    throw error;
  }
}

export const inFlight = async (instance: Instance) => (await instance.control.call('health')).inFlight;

/** Bytes in which a lost, doubled or swapped piece shows. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(i, i);
  return bytes;
}
