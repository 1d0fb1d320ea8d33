/** Jobs with the real kubectl on a whole platform: made, waited for, read, failed, suspended, deleted. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { Petrel, Scratch } from '../../lib/platform.ts';
import { findKubectl } from './kubectl.ts';

const found = findKubectl();
const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));

/** Runs kubectl to its end; what it printed on both streams. */
function kubectl(...args: string[]): { code: number | null; text: string } {
  if (typeof found === 'string') throw new Error(found);
  const { status, stdout, stderr } = spawnSync(found.path, args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: scratch.dir, KUBECONFIG: join(petrel.home, 'kubeconfig') },
  });
  return { code: status, text: stdout + stderr };
}

function succeeds(...args: string[]): string {
  const { code, text } = kubectl(...args);
  assert.equal(code, 0, `kubectl ${args.join(' ')}: ${text}${petrel.log()}`);
  return text;
}

const HOST = '--image=petrel.dev/host';

describe('jobs', { skip: typeof found === 'string' ? found : false }, () => {
  before(() => petrel.up());
  after(async () => {
    await petrel.stop();
    scratch.dispose();
  });

  test('create, wait, get, logs, describe', () => {
    succeeds('create', 'job', 'hello', HOST, '--', 'sh', '-c', 'echo said; sleep 0.1');
    succeeds('wait', '--for=condition=complete', '--timeout=30s', 'job/hello');
    assert.match(
      succeeds('get', 'jobs'),
      /^NAME +STATUS +COMPLETIONS +DURATION +AGE\nhello +Complete +1\/1 +\d+s +\d+s/,
    );
    assert.match(succeeds('logs', 'job/hello'), /^said\n/);
    const described = succeeds('describe', 'job', 'hello');
    assert.match(described, /Pods Statuses: +0 Active \(0 Ready\) \/ 1 Succeeded \/ 0 Failed/);
    assert.match(described, /SuccessfulCreate +\S+ +job-controller +Created pod: hello-/);
  });

  test('one that fails says why', () => {
    const manifest = JSON.stringify({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'failing' },
      spec: {
        backoffLimit: 0,
        template: {
          spec: {
            restartPolicy: 'Never',
            containers: [{ name: 'c', image: 'petrel.dev/host', command: ['sh', '-c', 'exit 3'] }],
          },
        },
      },
    });
    scratch.write({ 'failing.json': manifest });
    succeeds('apply', '-f', scratch.path('failing.json'));
    succeeds('wait', '--for=condition=failed', '--timeout=30s', 'job/failing');
    const reason = succeeds(
      'get',
      'job',
      'failing',
      '-o',
      'jsonpath={.status.conditions[?(@.type=="Failed")].reason}',
    );
    assert.equal(reason, 'BackoffLimitExceeded');
    assert.match(succeeds('apply', '-f', scratch.path('failing.json')), /unchanged/);
  });

  test('suspended it gives its Pods back, resumed it runs to its end, deleted it takes everything along', () => {
    succeeds('create', 'job', 'long', HOST, '--', 'sh', '-c', 'test -e /tmp/x || sleep 1000');
    succeeds('wait', '--for=jsonpath={.status.ready}=1', '--timeout=30s', 'job/long');
    succeeds('patch', 'job', 'long', '--type=merge', '-p', '{"spec":{"suspend":true}}');
    succeeds('wait', '--for=condition=suspended', '--timeout=30s', 'job/long');
    succeeds('wait', '--for=delete', '--timeout=60s', 'pod', '-l', 'job-name=long');
    succeeds('patch', 'job', 'long', '--type=merge', '-p', '{"spec":{"suspend":false}}');
    succeeds('wait', '--for=jsonpath={.status.active}=1', '--timeout=30s', 'job/long');
    succeeds('delete', 'job', 'long', '--timeout=60s');
    succeeds('wait', '--for=delete', '--timeout=60s', 'pod', '-l', 'job-name=long');
  });
});
