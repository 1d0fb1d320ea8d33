/** What Pods get only where namespaces and control groups are permitted; skipped, with the reason, elsewhere. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { KubeObject } from '../../kinds/object.ts';
import { NODE_ANNOTATIONS, type Pod } from '../../kinds/pod.ts';
import { createNodeStatsReader } from '../../kube/node-stats.ts';
import { CONFIGMAPS, PODS, SECRETS } from '../../kube/refs.ts';
import { createTestCluster } from './testing.ts';

const cluster = await createTestCluster();
after(() => cluster.close());
const conditionOf = (pod: Pod, type: string) =>
  pod.status?.conditions?.find((condition) => condition.type === type);
const ready = (pod: Pod) => conditionOf(pod, 'Ready')?.status === 'True';

await cluster.run('look', { restartPolicy: 'Never', containers: [{ command: ['true'] }] });
const look = await cluster.until('look', ({ status }) => status?.phase === 'Succeeded');
const unless = (type: string) => {
  const condition = conditionOf(look, type);
  return { skip: condition?.status === 'True' ? false : `${condition?.reason}: ${condition?.message}` };
};
const needsSandbox = unless('petrel.dev/Sandboxed');
const needsLimits = unless('petrel.dev/ResourceLimits');

const object = (kind: string, name: string, fields: object) =>
  ({ apiVersion: 'v1', kind, metadata: { name, namespace: 'default' }, ...fields }) as KubeObject;

test(
  'Secrets and ConfigMaps are files with their modes, and change when the object does',
  needsSandbox,
  async () => {
    await cluster.client.create(
      SECRETS,
      object('Secret', 'keys', { data: { token: Buffer.from('s3\n').toString('base64') } }),
    );
    await cluster.client.create(
      CONFIGMAPS,
      object('ConfigMap', 'conf', { data: { 'a.txt': 'one\n', 'b.txt': 'two\n' } }),
    );
    const script =
      'cat /etc/keys/token /conf/deep/renamed; stat -Lc %a /etc/keys/token; ls /conf; until grep -q new /conf/deep/renamed; do sleep 0.02; done; cat /conf/deep/renamed';
    await cluster.run('files', {
      restartPolicy: 'Never',
      volumes: [
        { name: 'keys', secret: { secretName: 'keys', defaultMode: 0o400 } },
        { name: 'conf', configMap: { name: 'conf', items: [{ key: 'a.txt', path: 'deep/renamed' }] } },
      ],
      containers: [
        {
          command: ['sh', '-c', script],
          volumeMounts: [
            { name: 'keys', mountPath: '/etc/keys' },
            { name: 'conf', mountPath: '/conf' },
          ],
        },
      ],
    });
    await cluster.until('files', ready);
    const follow = await cluster.openLog('files', 'c', 'follow=true');
    // Everything of the old version has been read when this line comes.
    for await (const chunk of follow.body!) if (Buffer.from(chunk).includes('deep')) break;
    await cluster.client.patch(CONFIGMAPS, 'default', 'conf', 'merge', { data: { 'a.txt': 'new\n' } });
    await cluster.until('files', ({ status }) => status?.phase === 'Succeeded');
    await cluster.says('files', 'c', 's3\none\n400\ndeep\nnew\n');
  },
);

test('an emptyDir is shared by the containers of a Pod and gone with it', needsSandbox, async () => {
  const volumeMounts = [{ name: 'work', mountPath: '/work-dir' }];
  const pod = await cluster.run('share', {
    volumes: [{ name: 'work', emptyDir: {} }],
    initContainers: [
      { name: 'i', image: 'petrel.dev/host', command: ['sh', '-c', 'echo made >/work-dir/x'], volumeMounts },
    ],
    terminationGracePeriodSeconds: 1,
    containers: [{ command: ['sh', '-c', 'cat /work-dir/x; exec sleep 100'], volumeMounts }],
  });
  await cluster.until('share', ready);
  const dir = join(cluster.runDir, 'volumes', pod.metadata.uid!, 'work');
  assert.equal(readFileSync(join(dir, 'x'), 'utf8'), 'made\n');
  await cluster.client.delete(PODS, 'default', 'share');
  await cluster.untilGone('share');
  assert.ok(!existsSync(dir));
});

test('limits arrive at a running Pod by annotation, and end it when exceeded', needsLimits, async () => {
  const eat = 'console.log("up"); const all = []; setInterval(() => all.push(Buffer.alloc(4e6, 1)), 1)';
  await cluster.run('grow', {
    restartPolicy: 'Never',
    containers: [{ command: [process.execPath, '-e', eat] }],
  });
  await cluster.until('grow', ready);
  const resources = JSON.stringify({ limits: { memory: '100Mi', cpu: '1' } });
  await cluster.client.patch(PODS, 'default', 'grow', 'merge', {
    metadata: { annotations: { [NODE_ANNOTATIONS.resources]: resources } },
  });
  const pod = await cluster.until('grow', ({ status }) => status?.phase === 'Failed');
  assert.equal(pod.status?.containerStatuses?.[0]?.state.terminated?.reason, 'OOMKilled');
  assert.equal(pod.status?.containerStatuses?.[0]?.state.terminated?.exitCode, 137);
});

test('a running Pod is given its directory of the code cache, and no other', needsSandbox, async () => {
  const mine = join(cluster.home, 'cache', 'abc-v1');
  const script = `echo up; until touch ${mine}/x 2>/dev/null; do sleep 0.02; done; touch ${cluster.home}/cache/y || echo refused; exec sleep 100`;
  await cluster.run('cached', {
    terminationGracePeriodSeconds: 1,
    containers: [{ command: ['sh', '-c', script] }],
  });
  await cluster.until('cached', ready);
  const follow = await cluster.openLog('cached', 'c', 'follow=true');
  const annotations = { [NODE_ANNOTATIONS.codeCache]: 'abc-v1' };
  await cluster.client.patch(PODS, 'default', 'cached', 'merge', { metadata: { annotations } });
  let text = '';
  for await (const chunk of follow.body!) {
    text += Buffer.from(chunk).toString();
    if (text.includes('refused')) break;
  }
  assert.ok(existsSync(join(mine, 'x')));
});

test(
  'an image that is a directory brings its files, its command and the directory it starts in',
  needsSandbox,
  async () => {
    const dir = join(cluster.home, 'images', 'dev.local', 'words');
    mkdirSync(join(dir, 'rootfs', 'words'), { recursive: true });
    writeFileSync(
      join(dir, 'rootfs', 'words', 'say.mjs'),
      'console.log(process.cwd(), process.env.WORD, ...process.argv.slice(2))',
    );
    const config = {
      Entrypoint: ['$(NODE)', '/words/say.mjs'],
      Cmd: ['by default'],
      Env: ['WORD=hello'],
      WorkingDir: '/words',
    };
    writeFileSync(join(dir, 'image.json'), JSON.stringify(config));
    await cluster.run('words', {
      restartPolicy: 'Never',
      containers: [
        { name: 'a', image: 'dev.local/words:v1' },
        {
          name: 'b',
          image: 'dev.local/words',
          args: ['$(WORD)'],
          env: [{ name: 'WORD', value: 'bye' }],
          workingDir: '/no/such/place',
        },
        {
          name: 'c',
          image: 'dev.local/words',
          command: ['sh', '-c', 'touch here && pwd'],
          workingDir: '/tmp/deep',
        },
      ],
    });
    await cluster.until('words', ({ status }) => status?.phase === 'Succeeded');
    const said = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => (await cluster.log('words', name)).text),
    );
    assert.deepEqual(said, ['/words hello by default\n', '/no/such/place bye bye\n', '/tmp/deep\n']);
  },
);

test(
  'last words in a file, the user asked for, a terminal; and what cannot be had is refused',
  needsSandbox,
  async () => {
    const script = 'id -u; id -g; echo gone for good >/dev/termination-log; test -c /dev/pts/ptmx && exit 3';
    await cluster.run('as', {
      restartPolicy: 'Never',
      securityContext: { runAsNonRoot: true, runAsUser: 54_321, runAsGroup: 54_322 },
      containers: [{ command: ['sh', '-c', script] }],
    });
    const { status } = await cluster.until('as', (each) => each.status?.phase === 'Failed');
    await cluster.says('as', 'c', '54321\n54322\n');
    const end = status?.containerStatuses?.[0]?.state.terminated;
    assert.deepEqual([end?.exitCode, end?.message], [3, 'gone for good\n']);

    await cluster.run('mighty', {
      containers: [{ command: ['true'], securityContext: { privileged: true } }],
    });
    const refused = await cluster.until('mighty', (each) =>
      Boolean(each.status?.containerStatuses?.[0]?.state.waiting?.message),
    );
    assert.deepEqual(refused.status?.containerStatuses?.[0]?.state.waiting, {
      reason: 'CreateContainerConfigError',
      message: 'container c: privileged containers do not run on this node',
    });
  },
);

test(
  'projected volumes: ConfigMaps, Secrets, the Pod itself and a token in one directory; links do not lead out',
  needsSandbox,
  async () => {
    await cluster.client.create(CONFIGMAPS, object('ConfigMap', 'some', { data: { a: 'A', b: 'B' } }));
    const script = [
      'ls /all /all/pod',
      'cat /all/a /all/pod/labels; echo',
      'cut -d. -f2 /all/token',
      'until grep -q new /all/pod/labels; do sleep 0.02; done',
      'stat -c %a /memory; stat -f -c %T /memory',
    ].join('; ');
    const volumeMounts = [
      { name: 'all', mountPath: '/all' },
      { name: 'memory', mountPath: '/memory' },
    ];
    const volumes = [
      {
        name: 'all',
        projected: {
          sources: [
            { configMap: { name: 'some', items: [{ key: 'a', path: 'a' }] } },
            { secret: { name: 'absent', optional: true } },
            { downwardAPI: { items: [{ path: 'pod/labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
            { serviceAccountToken: { path: 'token', audience: 'api' } },
          ],
        },
      },
      { name: 'memory', emptyDir: { medium: 'Memory' } },
    ];
    const spec = {
      restartPolicy: 'Never' as const,
      volumes,
      containers: [{ command: ['sh', '-c', script], volumeMounts }],
    };
    await cluster.run('project', spec, { labels: { is: 'old' } });
    await cluster.until('project', ready);
    await cluster.client.patch(PODS, 'default', 'project', 'merge', { metadata: { labels: { is: 'new' } } });
    await cluster.until('project', ({ status }) => status?.phase === 'Succeeded');
    const lines = (await cluster.log('project', 'c')).text.split('\n');
    assert.deepEqual(lines.slice(0, 6), ['/all:', 'a', 'pod', 'token', '', '/all/pod:']);
    assert.match(lines[7] ?? '', /^Ais="(old|new)"$/);
    const claims = JSON.parse(Buffer.from(lines[8] ?? '', 'base64url').toString());
    assert.deepEqual(
      [claims.aud, claims.sub, claims.exp - claims.iat],
      [['api'], 'system:serviceaccount:default:default', 3600],
    );
    assert.deepEqual(lines.slice(9), ['777', 'tmpfs', '']);

    const work = [{ name: 'work', mountPath: '/work-dir' }];
    await cluster.run('climber', {
      volumes: [{ name: 'work', emptyDir: {} }],
      initContainers: [
        {
          name: 'i',
          image: 'petrel.dev/host',
          command: ['ln', '-s', '/etc', '/work-dir/x'],
          volumeMounts: work,
        },
      ],
      containers: [
        {
          command: ['true'],
          volumeMounts: [{ name: 'work', mountPath: '/mine', subPath: 'x/made-by-nobody' }],
        },
      ],
    });
    const waiting = ({ status }: Pod) =>
      status?.containerStatuses?.[0]?.state.waiting?.reason === 'CreateContainerConfigError';
    const { status } = await cluster.until('climber', waiting);
    assert.match(
      status?.containerStatuses?.[0]?.state.waiting?.message ?? '',
      /subPath x\/made-by-nobody leads out of volume "work"/,
    );
  },
);

test('what a Pod uses is what its control group or its processes have used', needsSandbox, async () => {
  const burn =
    'while (process.cpuUsage().user < 300_000); global.x = Buffer.alloc(5e7, 1); console.log("done"); setInterval(() => {}, 1e9)';
  const command = [process.execPath, '-e', burn];
  const pod = await cluster.run('uses', { terminationGracePeriodSeconds: 1, containers: [{ command }] });
  await cluster.until('uses', ready);
  const follow = await cluster.openLog('uses', 'c', 'follow=true');
  for await (const chunk of follow.body!) if (Buffer.from(chunk).includes('done')) break;
  const [summary] = await createNodeStatsReader(cluster.client).read();
  const uses = summary?.pods.find(({ podRef }) => podRef.uid === pod.metadata.uid);
  assert.ok(uses && uses.cpu.usageCoreNanoSeconds > 0.1e9, JSON.stringify(uses));
  assert.ok(uses.memory.workingSetBytes > 5e7 && uses.memory.workingSetBytes < 4e8, JSON.stringify(uses));
});

test(
  'host aliases and DNS of a Pod are in its /etc; what would need the namespaces of others is refused',
  needsSandbox,
  async () => {
    await cluster.run('etc', {
      restartPolicy: 'Never',
      hostAliases: [{ ip: '10.1.2.3', hostnames: ['db.example', 'db'] }],
      dnsPolicy: 'None',
      dnsConfig: {
        nameservers: ['10.9.8.7'],
        searches: ['here.example'],
        options: [{ name: 'ndots', value: '2' }],
      },
      containers: [{ command: ['sh', '-c', 'tail -n1 /etc/hosts; cat /etc/resolv.conf'] }],
    });
    await cluster.until('etc', ({ status }) => status?.phase === 'Succeeded');
    assert.equal(
      (await cluster.log('etc', 'c')).text,
      '10.1.2.3\tdb.example\tdb\nnameserver 10.9.8.7\nsearch here.example\noptions ndots:2\n',
    );
    await cluster.run('nosy', { hostPID: true, containers: [{ command: ['true'] }] });
    const { status } = await cluster.until('nosy', (each) =>
      Boolean(each.status?.containerStatuses?.[0]?.state.waiting?.message),
    );
    assert.match(status?.containerStatuses?.[0]?.state.waiting?.message ?? '', /^hostPID is not possible/);
  },
);
