/** Loading: what is said of code that cannot be loaded, and what a generic instance does. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BuildError, freePort, Instance, until } from '../instance.ts';
import { FAILURES, type Failing } from '../language.ts';
import { isReset, type Suite, specialise } from './suite.ts';

export function describeLoading(suite: Suite): void {
  const { language, title, skip, env, check, framed, lack } = suite;
  const { runtime, everything } = language;

  describe(`${title}: loading`, { skip }, () => {
    for (const [name, { code, env: settings }] of Object.entries(FAILURES)) {
      const failure = language.failures[name as keyof typeof FAILURES] as Failing | undefined;
      const reason = lack(name);
      test(`${name}: ${failure?.building ? 'the build fails' : code}, verbatim`, {
        skip: reason ?? false,
      }, async (t) => {
        assert.ok(failure, 'neither shown nor among what the language lacks');
        const instance = await Instance.start({ runtime, env: { ...env, ...settings } });
        t.after(() => instance.stop());
        const error = await specialise(instance, failure.source, { port: await freePort() }).then(
          () => assert.fail('it loaded'),
          (thrown) => thrown,
        );
        const text = error instanceof BuildError ? error.log : `${error.message}\n${error.detail ?? ''}`;
        assert.equal(error instanceof BuildError, failure.building ?? false, text);
        assert.match(text, failure.says);
        if (failure.shows) assert.ok((error.detail ?? text).includes(failure.shows), text);
        if (failure.building) {
          if (failure.file) assert.match(text, new RegExp(`${failure.file}\\b.{0,3}${failure.line ?? ''}`));
          return;
        }
        assert.equal(error.code, code, JSON.stringify(error));
        if (failure.file) assert.equal(error.file, failure.file);
        if (failure.line) assert.equal(error.line, failure.line);
        assert.ok(
          !JSON.stringify(error).includes(instance.dir),
          `an absolute path in ${JSON.stringify(error)}`,
        );
        assert.notEqual((await instance.exited).code, null, 'the instance is used up and exits');
      });
    }

    check('a bad call leaves the instance generic', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      await assert.rejects(instance.control.call('specialise', {}), { code: 'BadRequest' });
      await assert.rejects(instance.control.call('specialise', { code: '/nowhere' }), { code: 'BadRequest' });
      await assert.rejects(instance.control.call('specialise', { code: instance.dir, port: 'http' }), {
        code: 'BadRequest',
      });
      assert.equal((await instance.control.call('health')).state, 'generic');
      await specialise(instance, everything, { port: await freePort() });
    });

    framed('a request to a generic instance is refused, not lost', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      const data = await instance.connect();
      await assert.rejects(data.request(), isReset('overloaded'));
    });

    check('outside of development an error keeps its words to itself', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      await specialise(instance, everything, { development: false, port: await freePort() });
      const answer = await (await instance.caller()).request({ target: '/throw' });
      assert.deepEqual(Object.keys(JSON.parse(answer.body.toString())), ['component', 'reason', 'requestId']);
      await until(() => instance.output.includes('thrown in the handler'), 'the error in the log');
    });
  });
}
