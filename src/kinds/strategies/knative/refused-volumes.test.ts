import { container, mounted, off, type RefusedSpec, refuses } from './testing.ts';

const S = 'spec.template.spec';
const C = `${S}.containers[0]`;
const V = `${S}.volumes[0]`;

const SPECS: RefusedSpec[] = [
  [
    'volume not mounted',
    { ...container({}), volumes: [{ name: 'v', emptyDir: {} }] },
    `volume with name "v" not mounted: ${V}.name`,
  ],
  [
    'volume twice',
    {
      ...mounted({ emptyDir: {} }),
      volumes: [
        { name: 'v', emptyDir: {} },
        { name: 'v', emptyDir: {} },
      ],
    },
    `duplicate volume name "v": ${S}.volumes[1].name`,
  ],
  [
    'volume name',
    {
      ...container({ volumeMounts: [{ name: 'v.w', mountPath: '/v' }] }),
      volumes: [{ name: 'v.w', emptyDir: {} }],
    },
    `invalid value: v.w: ${V}.name`,
  ],
  [
    'nameless volume',
    {
      ...container({ volumeMounts: [{ name: '', mountPath: '/v' }] }),
      volumes: [{ name: '', emptyDir: {} }],
    },
    `missing field(s): ${V}.name`,
  ],
  [
    'volume of no kind',
    mounted({}),
    `expected exactly one, got neither: ${['configMap', 'csi', 'emptyDir', 'ephemeral', 'hostPath', 'image', 'persistentVolumeClaim', 'projected', 'secret'].map((s) => `${V}.${s}`).join(', ')}`,
  ],
  [
    'volume of no kind, where few are on',
    mounted({}),
    `expected exactly one, got neither: ${V}.configMap, ${V}.projected, ${V}.secret`,
    off(
      'kubernetes.podspec-volumes-emptydir',
      'kubernetes.podspec-volumes-csi',
      'kubernetes.podspec-volumes-ephemeral',
      'kubernetes.podspec-volumes-hostpath',
      'kubernetes.podspec-volumes-image',
      'kubernetes.podspec-persistent-volume-claim',
    ),
  ],
  [
    'volume of two kinds',
    mounted({ emptyDir: {}, secret: { secretName: 's' } }),
    `expected exactly one, got both: ${V}.emptyDir, ${V}.secret`,
  ],
  [
    'volume that is never allowed',
    mounted({ secret: { secretName: 's' }, nfs: {} }),
    `must not set the field(s): ${V}.nfs`,
  ],
  [
    'items without key and path',
    mounted({ configMap: { name: 'c', items: [{}] } }),
    `missing field(s): ${V}.items[0].key, ${V}.items[0].path`,
  ],
  [
    'medium and size',
    mounted({ emptyDir: { medium: 'Disk', sizeLimit: '-1' } }),
    `invalid value: -1: ${V}.emptyDir.sizeLimit\ninvalid value: Disk: ${V}.emptyDir.medium`,
  ],
  [
    'image volume',
    mounted({ image: { pullPolicy: 'x' } }),
    `invalid value: x: ${V}.image.pullPolicy\nmissing field(s): ${V}.image.reference`,
  ],
  [
    'projections',
    mounted({
      projected: {
        sources: [
          {},
          { secret: {}, configMap: { name: 'c' } },
          { serviceAccountToken: {} },
          { downwardAPI: { items: [{ path: 'p' }, { fieldRef: {}, resourceFieldRef: {} }] } },
        ],
      },
    }),
    [
      `Within a single item, cannot set both: ${V}.projected[3].downwardAPI.items[1].fieldRef, ${V}.projected[3].downwardAPI.items[1].resourceFieldRef`,
      `expected exactly one, got both: ${V}.projected[1].configMap, ${V}.projected[1].secret`,
      `expected exactly one, got neither: ${V}.projected[0].configMap, ${V}.projected[0].downwardAPI, ${V}.projected[0].secret, ${V}.projected[0].serviceAccountToken, ${V}.projected[3].downwardAPI.items[0].fieldRef, ${V}.projected[3].downwardAPI.items[0].resourceFieldRef`,
      `missing field(s): ${V}.projected[1].secret.name, ${V}.projected[2].serviceAccountToken.path, ${V}.projected[3].downwardAPI.items[1].path`,
    ].join('\n'),
  ],
  ...(
    [
      ['emptyDir', 'EmptyDir', 'kubernetes.podspec-volumes-emptydir', {}],
      ['hostPath', 'HostPath', 'kubernetes.podspec-volumes-hostpath', { path: '/x' }],
      ['csi', 'CSI', 'kubernetes.podspec-volumes-csi', { driver: 'd' }],
      ['ephemeral', 'Ephemeral', 'kubernetes.podspec-volumes-ephemeral', {}],
      ['image', 'Image', 'kubernetes.podspec-volumes-image', { reference: 'r' }],
    ] as const
  ).map(
    ([source, name, flag, value]): RefusedSpec => [
      `${source} where it is off`,
      mounted({ [source]: value }, { readOnly: true }),
      `${name} volume support is disabled, but found ${name} volume v: \nmust not set the field(s): ${V}.${source}`,
      off(flag),
    ],
  ),
  [
    'claim where it is off',
    mounted({ persistentVolumeClaim: { claimName: 'c', readOnly: true } }, { readOnly: true }),
    `Persistent volume claim support is disabled, but found persistent volume claim c: \nmust not set the field(s): ${V}.persistentVolumeClaim`,
    off('kubernetes.podspec-persistent-volume-claim'),
  ],
  [
    'claim that is written to',
    mounted({ persistentVolumeClaim: { claimName: 'c' } }),
    'Persistent volume write support is disabled, but found persistent volume claim c that is not read-only: ',
    off('kubernetes.podspec-persistent-volume-write'),
  ],
  [
    'claim that is read-only, mount that is not',
    mounted({ persistentVolumeClaim: { claimName: 'c', readOnly: true } }),
    `volume is readOnly but volume mount is not: ${C}.volumeMounts[0].readOnly`,
  ],
  // mounts
  [
    'mount without volume',
    container({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
    `volumeMount has no matching volume: ${C}.volumeMounts[0].name`,
  ],
  [
    'mount nowhere',
    mounted({ emptyDir: {} }, { mountPath: '' }),
    `missing field(s): ${C}.volumeMounts[0].mountPath`,
  ],
  ...(['/', '/dev', '/dev/', '/dev/log', '//dev/../dev/./log'] as const).map(
    (path): [string, object, string] => [
      `mount on ${path}`,
      mounted({ emptyDir: {} }, { mountPath: path }),
      `mountPath "${path === '/' ? '/' : path.includes('log') ? '/dev/log' : '/dev'}" is a reserved path: ${C}.volumeMounts[0].mountPath`,
    ],
  ),
  [
    'mount on a relative path',
    mounted({ emptyDir: {} }, { mountPath: 'v' }),
    `invalid value: v: ${C}.volumeMounts[0].mountPath`,
  ],
  [
    'two mounts on one path',
    {
      ...mounted({ emptyDir: {} }),
      ...container({
        volumeMounts: [
          { name: 'v', mountPath: '/v' },
          { name: 'v', mountPath: '/v/' },
        ],
      }),
    },
    `invalid value: "/v/" must be unique: ${C}.volumeMounts[1].mountPath`,
  ],
  [
    'fields of mounts',
    mounted({ emptyDir: {} }, { subPathExpr: '$(A)', recursiveReadOnly: 'Enabled' }),
    `must not set the field(s): ${C}.volumeMounts[0].recursiveReadOnly, ${C}.volumeMounts[0].subPathExpr`,
  ],
  [
    'propagation',
    mounted({ emptyDir: {} }, { mountPropagation: 'Bidirectional' }),
    `mount propagation should be set to None or HostToContainer: ${C}.volumeMounts[0].mountPropagation`,
  ],
  [
    'propagation where it is off',
    mounted({ emptyDir: {} }, { mountPropagation: 'None' }),
    `Volume Mount Propagation support is disabled, but found volume mount v with mount propagation: \nmust not set the field(s): ${C}.volumeMounts[0].mountPropagation`,
    off('kubernetes.podspec-volumes-mount-propagation'),
  ],
];
refuses(SPECS);
