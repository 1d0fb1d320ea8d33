/** Programs that listen on `$PORT`. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, test } from 'node:test';
import { freePort, Instance } from '../instance.ts';
import { type Suite, specialise } from './suite.ts';

export function describePrograms(suite: Suite): void {
  const { language, title, skip, env, lack } = suite;
  const { runtime } = language;

  const { programs } = language;
  if (programs === undefined) {
    test(`${title}: programs`, { skip: lack('programs') ?? 'no reason is given' }, () => {});
    return;
  }
  describe(`${title}: programs`, { skip }, () => {
    const kinds = [
      ['a declared program', programs.declared, true],
      ['code that listens when it is loaded', programs.whenLoaded, false],
      ['code that listens some time after it is loaded, or only as a main program', programs.later, false],
    ] as const;
    for (const [name, source, declared] of kinds) {
      if (source === undefined) continue;
      test(`${name} is reached on its port, and ends with its instance`, async (t) => {
        const instance = await Instance.start({ runtime, env });
        t.after(() => instance.stop());
        const port = await freePort();
        const result = await specialise(instance, source, {
          port,
          ...(declared ? { shape: 'program' } : {}),
        });
        assert.deepEqual(result.transport, { kind: 'http1', host: '127.0.0.1', port });
        assert.equal(result.shape, 'program');
        const response = await fetch(`http://127.0.0.1:${port}/x?y`);
        assert.equal(await response.text(), 'program /x?y hi there');
        instance.kill('SIGTERM');
        await instance.exited;
        await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
      });
    }

    test('a Procfile says what is run, through a shell or without', {
      skip: runtime !== 'node' && 'a package with a Procfile is run by the node runtime',
    }, async (t) => {
      const { files, entry } = programs.declared;
      for (const command of [
        `node ${entry}`,
        `NAME=$K_SERVICE node ${entry}`,
        `env A="$PORT" node ${entry}`,
      ]) {
        const instance = await Instance.start({ runtime, env });
        t.after(() => instance.stop());
        const port = await freePort();
        const manifest = '{"scripts":{"start":"not this one"}}';
        const Procfile = `worker: nor this\nweb: ${command}\n`;
        await instance.specialise(
          { ...files, 'package.json': manifest, Procfile },
          { port, shape: 'program' },
        );
        assert.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 200, command);
        instance.kill('SIGTERM');
        await instance.exited;
        await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
      }
    });

    test('a program ends with its supervisor, even when that is killed', {
      skip:
        language.lacks['a program ends with its supervisor'] ??
        (fs.existsSync('/usr/bin/setpriv') ? false : 'setpriv of util-linux is not installed'),
    }, async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      const port = await freePort();
      await specialise(instance, programs.declared, { port, shape: 'program' });
      instance.kill('SIGKILL');
      await instance.exited;
      await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    });

    test('a program that ends before it listens: its exit code and the end of its stderr', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      await assert.rejects(
        specialise(instance, programs.failing, { port: await freePort(), shape: 'program' }),
        (error: { code: string; message: string; detail: string }) => {
          assert.equal(error.code, 'LoadError');
          assert.match(error.message, /exit code 7 before it listened/);
          assert.match(error.detail, /cannot start: no licence/);
          return true;
        },
      );
    });

    test('a program that never listens is ended in time', async (t) => {
      const instance = await Instance.start({ runtime, env: { ...env, PETREL_LOAD_TIMEOUT_MS: '1000' } });
      t.after(() => instance.stop());
      await assert.rejects(
        specialise(instance, programs.silent, { port: await freePort(), shape: 'program' }),
        {
          code: 'LoadError',
          message: /did not listen on port/,
        },
      );
    });
  });
}
