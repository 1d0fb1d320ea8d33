/** How instances end: crashes, drain, signals, and the end of their platform. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, type TestContext } from 'node:test';
import { type MuxClient, RawConnection, T } from '../client.ts';
import type { Caller } from '../http-client.ts';
import { freePort, Instance, until } from '../instance.ts';
import { inFlight, isReset, type Suite, specialise } from './suite.ts';

export function describeEnds(suite: Suite): void {
  const { language, title, mux, skip, env, check } = suite;
  const { runtime, everything, crash } = language;

  describe(`${title}: ends`, { skip }, () => {
    const start = async (t: TestContext, source = everything, settings = {}) => {
      const instance = await Instance.start({ runtime, env: { ...env, ...settings } });
      t.after(() => instance.stop());
      await specialise(instance, source, { port: await freePort() });
      return { instance, data: await instance.caller() };
    };
    /** Resolves when the instance has said, or shown, that it takes no more. */
    const closing = async (instance: Instance, data: Caller) => {
      if (mux) return (data as MuxClient).goaway;
      await until(async () => {
        const probe = await instance.caller();
        return probe.request({ target: '/log' }).then(
          () => false,
          () => true,
        );
      }, 'new connections to be refused');
    };

    for (const target of ['/crash', '/reject']) {
      check(
        `user code that breaks the process (${target}) resets what is in flight and says why`,
        async (t) => {
          const { instance, data } = await start(t, crash);
          const bystander = data.request({ target: '/wait' });
          bystander.catch(() => {});
          await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
          await assert.rejects(data.request({ target }), isReset('crashed'));
          await assert.rejects(bystander, isReset('crashed'));
          if (mux) await (data as MuxClient).goaway;
          const { code } = await instance.exited;
          assert.notEqual(code, 0);
          const event = instance.control.events.find((one) => one.event === 'failed');
          assert.match(String(event?.message), /thrown by a timer/);
          assert.match(String(event?.detail), language.trace);
        },
      );
    }

    check('a process that exits in a handler takes its connections along', async (t) => {
      const { instance, data } = await start(t);
      await assert.rejects(data.request({ target: '/exit' }));
      assert.equal((await instance.exited).code, 3);
    });

    check('drain: no new streams, the open ones are answered', async (t) => {
      const { instance, data } = await start(t);
      const open = data.request({ target: '/sleep?ms=300' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      const drained = instance.control.call('drain', { graceMs: 10_000 });
      await closing(instance, data);
      if (mux) await assert.rejects(data.request({ target: '/log' }), isReset('draining'));
      assert.equal((await open).body.toString(), 'slept');
      assert.deepEqual(await drained, { left: 0 });
      await instance.control.call('shutdown');
      assert.equal((await instance.exited).code, 0);
    });

    check('drain says how many are left when its time is over', async (t) => {
      const { instance, data } = await start(t);
      data.open({ target: '/hang-deaf' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      assert.deepEqual(await instance.control.call('drain', { graceMs: 50 }), { left: 1 });
    });

    check('SIGTERM drains and exits 0', async (t) => {
      const { instance, data } = await start(t);
      const open = data.request({ target: '/sleep?ms=300' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      instance.kill('SIGTERM');
      await closing(instance, data);
      assert.equal((await open).body.toString(), 'slept');
      assert.equal((await instance.exited).code, 0);
    });

    check('SIGTERM ends a hanging request after its grace', async (t) => {
      const { instance, data } = await start(t, everything, { PETREL_TERM_GRACE_MS: '100' });
      const open = data.request({ target: '/hang-deaf' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      instance.kill('SIGTERM');
      await assert.rejects(open);
      assert.equal((await instance.exited).code, 0);
    });

    check('an instance whose platform is gone ends; one whose platform comes back does not', async (t) => {
      const { instance } = await start(t, everything, { PETREL_CONTROL_GRACE_MS: '400' });
      instance.control.close();
      const back = await instance.connect('control');
      await new Promise((resolve) => setTimeout(resolve, 800));
      assert.equal((await back.call('health')).state, 'specialised');
      back.close();
      assert.equal((await instance.exited).code, 0);
    });

    check('an instance no platform ever came to ends', async (t) => {
      const instance = await Instance.start({
        runtime,
        env: { PETREL_ORPHAN_MS: '100', PETREL_CONTROL_GRACE_MS: '50' },
      }).catch(() => undefined);
      // Either it was gone before the first connection, or it goes when that closes.
      if (instance === undefined) return;
      t.after(() => instance.stop());
      instance.control.close();
      assert.equal((await instance.exited).code, 0);
    });

    check('a handler that hangs is not hidden by an answer to PING', async (t) => {
      assert.ok(language.hanging, 'neither shown nor among what the language lacks');
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      const flag = `${instance.dir}/go`;
      await specialise(instance, language.hanging, { concurrency: 1, env: { GO: flag } });
      const raw = await RawConnection.open(instance.socket);
      t.after(() => raw.socket.destroy());
      let pongs = 0;
      raw.onFrame = (frame) => {
        if (frame.type === T.PONG) pongs++;
      };
      raw.send(T.HELLO, 0, { version: 1, role: 'data' });
      raw.send(T.PING, 0, Buffer.from('before  '));
      await until(() => pongs === 1, 'a PONG');
      raw.send(T.REQUEST, 1, 'GET /\r\nhost: x\r\n');
      raw.send(T.RESET, 1, { code: 'timeout', message: '' });
      raw.send(T.PING, 0, Buffer.from('hanging '));
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(pongs, 1);
      fs.writeFileSync(flag, '');
      await until(() => pongs === 2, 'a PONG once it has returned');
    });

    check('a control connection that breaks in the middle of a call harms nobody', async (t) => {
      const { instance, data } = await start(t);
      const second = await instance.connect('control');
      second.call('drain', { graceMs: 0 }).catch(() => {});
      second.close();
      await until(async () => (await instance.control.call('health')).inFlight === 0, 'an answer');
      await closing(instance, data);
      assert.equal(instance.child.exitCode, null);
    });
  });
}
