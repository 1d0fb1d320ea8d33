import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HostView, planSandbox, type SandboxRequest, toFstab } from './plan.ts';

/** A host made of paths: a trailing slash is a directory, `a -> b` a link. */
function host(paths: string[], mounts: HostView['mounts'] = []): HostView {
  const links = new Map(
    paths.filter((path) => path.includes(' -> ')).map((path) => path.split(' -> ') as [string, string]),
  );
  const dirs = new Set(['/']);
  const files = new Set<string>();
  for (const path of paths.filter((candidate) => !candidate.includes(' -> '))) {
    for (let at = path.indexOf('/', 1); at !== -1; at = path.indexOf('/', at + 1))
      dirs.add(path.slice(0, at));
    if (!path.endsWith('/')) files.add(path);
  }
  const kind = (path: string) => (dirs.has(path) ? 'dir' : files.has(path) ? 'file' : undefined);
  return {
    kind,
    mounts: [{ target: '/', fstype: 'ext4', options: ['rw'] }, ...mounts],
    resolve: (path) => {
      for (const [from, to] of links)
        if (path === from) return to;
        else if (path.startsWith(`${from}/`)) return `/${to}${path.slice(from.length)}`;
      return path;
    },
    list(dir) {
      const prefix = dir === '/' ? '/' : `${dir}/`;
      const names = new Set(
        [...dirs, ...files, ...links.keys()]
          .filter((path) => path !== '/' && path.startsWith(prefix))
          .map((path) => path.slice(prefix.length).split('/')[0]!),
      );
      return [...names].map((name) => {
        const link = links.get(prefix + name);
        return link === undefined ? { name, kind: kind(prefix + name)! } : { name, kind: 'link', link };
      });
    },
  };
}

const linux = [
  '/usr/bin/x',
  '/etc/passwd',
  '/etc/ssl/cert',
  '/var/lib/',
  '/var/run -> run',
  '/bin -> usr/bin',
  '/proc/sys/',
  '/sys/',
  '/dev/null',
  '/dev/sda',
  '/run/docker.sock',
  '/tmp/',
  '/home/me/.ssh/key',
  '/home/me/src/app',
  '/vmlinuz',
];
const plan = (request: Partial<SandboxRequest> = {}, view = host(linux)) =>
  planSandbox(view, {
    hidden: [],
    visible: [],
    scratch: [
      { path: '/tmp', options: 'mode=1777' },
      { path: '/run', options: 'mode=755' },
    ],
    mounts: [],
    recursive: false,
    ...request,
  });
const at = (result: ReturnType<typeof plan>, target: string) =>
  result.mounts.find((mount) => mount.target === target);

test('every directory of the host is bound read-only, links stay links, the special ones are the own', () => {
  const result = plan();
  for (const dir of ['/usr', '/etc', '/var', '/home'])
    assert.deepEqual(at(result, dir)?.options, ['bind', 'ro'], dir);
  assert.ok(result.links.some(({ path, to }) => path === '/bin' && to === 'usr/bin'));
  assert.equal(at(result, '/proc')?.type, 'proc');
  assert.equal(at(result, '/tmp')?.type, 'tmpfs');
  assert.equal(at(result, '/run')?.type, 'tmpfs');
  assert.ok(at(result, '/dev/null'));
  assert.ok(!at(result, '/dev') && !at(result, '/dev/sda'), 'devices of the machine stay out of reach');
  assert.deepEqual(at(result, '/proc/sys')?.options, ['bind', 'ro']);
  const order = result.mounts.map(({ target }) => target);
  assert.ok(order.indexOf('/proc') < order.indexOf('/proc/sys'), 'parents come first');
});

test('a hidden directory is empty but for what must be visible, also mounts inside it', () => {
  const view = host(linux, [{ target: '/home/me/.ssh', fstype: 'fuse', options: ['rw'] }]);
  const result = plan({ hidden: ['/home'], visible: ['/home/me/src', '/usr/bin'] }, view);
  assert.equal(at(result, '/home')?.type, 'tmpfs');
  assert.deepEqual(at(result, '/home/me/src')?.options, ['bind', 'ro', 'X-mount.mkdir=0755']);
  assert.equal(at(result, '/home/me/.ssh'), undefined);
  assert.equal(at(result, '/usr/bin'), undefined, 'visible anyway');
});

test('what is hidden inside something visible stays hidden', () => {
  const result = plan(
    { hidden: ['/home', '/home/me/src/app-home'], visible: ['/home/me/src'] },
    host([...linux, '/home/me/src/app-home/']),
  );
  assert.equal(at(result, '/home/me/src/app-home')?.type, 'tmpfs');
});

test('other file systems are bound too, with the options the kernel insists on', () => {
  const view = host(
    [...linux, '/data/x/'],
    [
      { target: '/data/x', fstype: 'xfs', options: ['rw', 'nosuid', 'nodev', 'relatime'] },
      { target: '/sys/fs/cgroup', fstype: 'cgroup2', options: ['rw'] },
    ],
  );
  const result = plan({ recursive: true }, view);
  assert.deepEqual(at(result, '/data/x')?.options, ['rbind', 'ro', 'nosuid', 'nodev']);
  assert.equal(at(result, '/sys/fs/cgroup'), undefined);
});

test('a mount path the host does not have opens up its directory', () => {
  const result = plan({ mounts: [{ source: '/volumes/a', target: '/etc/app/conf', readOnly: true }] });
  assert.equal(at(result, '/etc'), undefined, 'replaced by its children');
  assert.ok(at(result, '/etc/passwd') && at(result, '/etc/ssl'));
  assert.deepEqual(at(result, '/etc/app/conf'), {
    source: '/volumes/a',
    target: '/etc/app/conf',
    type: 'none',
    options: ['bind', 'ro'],
  });
  assert.ok(result.dirs.includes('/etc/app/conf') && result.files.includes('/etc/passwd'));
  const top = plan({ mounts: [{ source: '/volumes/a', target: '/data', readOnly: false }] });
  assert.deepEqual(at(top, '/data')?.options, ['bind']);
  assert.ok(top.dirs.includes('/data'));
});

test('a mount path through a link or into scratch space lands where the link points', () => {
  const result = plan({ mounts: [{ source: '/volumes/a', target: '/var/run/secrets', readOnly: true }] });
  assert.deepEqual(at(result, '/run/secrets')?.options, ['bind', 'ro', 'X-mount.mkdir=0755']);
});

test('mount paths that would replace the system are refused', () => {
  for (const target of ['/', '/proc', '/dev/null', '/sys/kernel']) {
    assert.throws(
      () => plan({ mounts: [{ source: '/volumes/a', target, readOnly: true }] }),
      /is not possible/,
      target,
    );
  }
});

test('a resolver file that /etc links into /run is shown with its directory, and nothing else of /run', () => {
  const stub = '/run/systemd/resolve/stub-resolv.conf';
  const result = plan({}, host([...linux, stub, `/etc/resolv.conf -> ${stub}`]));
  assert.deepEqual(at(result, '/run/systemd/resolve')?.options, ['bind', 'ro', 'X-mount.mkdir=0755']);
  assert.equal(at(result, '/run')?.type, 'tmpfs');
  assert.ok(!result.mounts.some(({ target }) => target === '/run/systemd'));
});

test('control groups are shown where programs look for them', () => {
  const view = host([...linux, '/sys/fs/cgroup/']);
  const second = plan({ groups: { '': '/sys/fs/cgroup/petrel/x' } }, view);
  assert.equal(at(second, '/sys/fs/cgroup')?.source, '/sys/fs/cgroup/petrel/x');
  const first = plan({ groups: { cpu: '/sys/fs/cgroup/cpu/petrel/x' } }, view);
  assert.equal(at(first, '/sys/fs/cgroup')?.type, 'tmpfs');
  assert.deepEqual(at(first, '/sys/fs/cgroup/cpu')?.options, ['bind', 'ro', 'X-mount.mkdir=0755']);
});

test('a file for last words lies where no file system of the container is in the way', () => {
  const last = (target: string, mounts: SandboxRequest['mounts'] = []) =>
    at(plan({ terminationLog: { source: '/s', target }, mounts }), target)?.source;
  assert.equal(last('/dev/termination-log'), '/s');
  assert.equal(last('/etc/last'), '/s');
  assert.equal(last('/tmp/last'), undefined);
  assert.equal(last('/data/last', [{ source: '/v', target: '/data', readOnly: false }]), undefined);
});

test('the directory to start in is made where there is none', () => {
  assert.equal(at(plan({ workingDir: '/no/where' }), '/no/where')?.type, 'tmpfs');
  assert.equal(at(plan({ workingDir: '/usr/bin' }), '/usr/bin'), undefined);
  assert.ok(at(plan({ workingDir: '/tmp/deep' }), '/tmp/deep')?.options.includes('X-mount.mkdir=0755'));
  const mounts = [{ source: '/v', target: '/data', readOnly: false }];
  assert.equal(at(plan({ workingDir: '/data/x', mounts }), '/data/x'), undefined);
});

test('the table survives blanks and backslashes in paths', () => {
  const result = plan({ mounts: [{ source: '/vol ume/a\\b', target: '/data', readOnly: true }] });
  assert.match(toFstab(result, '/ro ot'), /^\/vol\\040ume\/a\\134b \/ro\\040ot\/data none bind,ro 0 0$/m);
});
