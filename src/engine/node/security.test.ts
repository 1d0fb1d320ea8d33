import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, PodSpec } from '../../kinds/pod.ts';
import type { ContainerUser } from './drivers/driver.ts';
import type { Privileges } from './drivers/process/script.ts';
import { parseAccounts, userProblem } from './drivers/process/users.ts';
import { SecurityProblem, userOf } from './security.ts';

const pod = (spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', uid: 'u' },
  spec: { containers: [], ...spec },
});
const anybody = () => undefined;
const as = (
  container: Container['securityContext'],
  shared: PodSpec['securityContext'] = {},
  image?: string,
  problem: (user: ContainerUser) => string | undefined = anybody,
) => userOf(pod({ securityContext: shared }), { name: 'c', securityContext: container }, image, problem);

test('whom a container runs as: its own wish, else the Pod’s, else its image’s', () => {
  assert.equal(as(undefined), undefined);
  assert.deepEqual(as({ runAsUser: 5 }, { runAsUser: 6, runAsGroup: 7 }), { uid: 5, gid: 7, groups: [] });
  assert.deepEqual(as({}, { fsGroup: 8, supplementalGroups: [9, 8] }), { groups: [9, 8] });
  assert.deepEqual(as({}, {}, '65532:1'), { uid: 65_532, gid: 1, groups: [] });
  assert.deepEqual(as({ runAsGroup: 3 }, {}, '65532'), { uid: 65_532, gid: 3, groups: [] });
  for (const root of ['0', '0:0', 'root', 'nobody', '']) assert.equal(as({}, {}, root), undefined, root);
});

test('what cannot be had is refused, but for the user of an image, which is only a wish', () => {
  const no = () => 'not here';
  assert.equal(as({}, {}, '65532', no), undefined);
  const cases: [Container['securityContext'], PodSpec['securityContext'], RegExp][] = [
    [{ runAsUser: 5 }, {}, /container c: not here/],
    [{}, { fsGroup: 5 }, /not here/],
    [{ privileged: true }, {}, /privileged/],
    [{ capabilities: { add: ['NET_ADMIN'] } }, {}, /NET_ADMIN/],
    [{ procMount: 'Unmasked' }, {}, /procMount/],
    [{ seccompProfile: { type: 'Localhost' } }, {}, /seccomp/],
    [{}, { sysctls: [{ name: 'a', value: '1' }] }, /sysctls/],
    [{ runAsUser: 0 }, { runAsNonRoot: true }, /breaks non-root policy/],
  ];
  for (const [own, shared, message] of cases) {
    assert.throws(
      () => as(own, shared, undefined, no),
      (error) => error instanceof SecurityProblem && message.test(error.message),
      String(message),
    );
  }
  // What is so anyway is no wish that could fail.
  const harmless = {
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  assert.equal(as(harmless, {}, undefined, no), undefined);
});

test('users: nobody whose files are on this machine; in a user namespace any one', () => {
  const accounts = {
    users: parseAccounts('root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nbroken\n'),
    groups: parseAccounts('root:x:0:\nshadow:x:42:\n'),
  };
  const problem = (privileges: Privileges | undefined, user: Partial<ContainerUser>) =>
    userProblem({ groups: [], ...user }, privileges, accounts);
  const root: Privileges = { kind: 'user', uid: 65_534, gid: 65_534 };
  assert.match(problem(root, { uid: 0 }) ?? '', /user 0 is root/);
  assert.match(problem(root, { uid: 1000 }) ?? '', /user 1000 is me/);
  assert.match(problem(root, { uid: 5, gid: 42 }) ?? '', /group 42 is shadow/);
  assert.match(problem(root, { groups: [7, 0] }) ?? '', /group 0 is root/);
  assert.equal(problem(root, { uid: 2020, gid: 2020, groups: [7] }), undefined);

  const namespace: Privileges = { kind: 'same', userNamespace: true };
  assert.equal(problem(namespace, { uid: 1000, gid: 42 }), undefined);
  assert.equal(problem(namespace, { uid: 1000, groups: [7] }), undefined, 'one group can be the only one');
  assert.match(problem(namespace, { groups: [7, 8] }) ?? '', /8/);
  for (const none of [undefined, { kind: 'same', userNamespace: false } as const])
    assert.match(problem(none, { uid: 5 }) ?? '', /leave user and groups out/);
});
