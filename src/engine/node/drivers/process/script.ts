/**
 * The two small shell scripts and the argument vectors by which a container starts. Everything that runs before the
 * privileges are gone runs with a clean environment and absolute paths: the environment of the Pod is not trusted there.
 */
import type { ContainerUser } from '../driver.ts';
import type { Tools } from './host.ts';

/** How a sandboxed process gets rid of its privileges. */
export type Privileges =
  /** The platform is root: the container runs as this unprivileged user and group. */
  | { kind: 'user'; uid: number; gid: number }
  /** Only the capabilities go. In a user namespace of its own where the platform is a normal user, who may not mount otherwise. */
  | { kind: 'same'; userNamespace: boolean };

/** For setpriv: nothing left, and nothing to come back. */
const NO_CAPABILITIES = ['--inh-caps=-all', '--bounding-set=-all', '--'];
/** The same for a process that is not user 0 of its namespace: it has kept its capabilities to build the view with. */
const NO_KEPT_CAPABILITIES = ['--ambient-caps=-all', ...NO_CAPABILITIES];

/** What the scripts say when all is ready for the command. */
export const SET_UP = 'set up';
/** How the message begins when a process could not be put into its control group. */
export const NO_GROUP = 'cannot enter the control group ';

/**
 * First process of the namespaces; stays as the parent that reaps orphans and reports the exit code. Arguments: platform
 * pid, host name, fstab, directory for changes to an image (empty: there are none), number of entrances of control groups, these, the
 * command. File descriptor 4: `SET_UP`, or why it failed.
 */
const INIT = `fail() { echo "$1" >&4; exit 125; }
[ -d "/proc/$1" ] || exit 125
{ echo "$2" >/proc/sys/kernel/hostname; } 2>/dev/null || SETNAME "$2"
fstab=$3; upper=$4; n=$5; shift 5
while [ "$n" -gt 0 ]; do echo 0 >"$1" || fail "${NO_GROUP}$1"; shift; n=$((n-1)); done
if [ "$upper" ]; then
  why=$(MOUNT -t tmpfs -o mode=755,size=1g,nosuid,nodev tmpfs "$upper" 2>&1 && MKDIR -m 1777 "$upper/u" "$upper/w" 2>&1) || fail "cannot make room for changes: $why"
fi
if [ "$fstab" ]; then why=$(MOUNT --all --fstab "$fstab" 2>&1) || fail "cannot build the file system view: $why"; fi
echo ${SET_UP} >&4; exec 4>&-
"$@"
exit $?`;

/** Variables that no program run before the Pod's own reacts to. All others are set by a shell that has no privileges left. */
const HARMLESS = /^(PATH|HOME|HOSTNAME|PORT|TERM|LANG|(PETREL|K|NODE|PYTHON|KUBERNETES)_?[A-Z0-9_]*)$/;
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export interface Launch {
  argv: string[];
  env: Record<string, string>;
  /** Content of standard input; absent: empty. */
  input?: string;
  /** File descriptor 4 says `SET_UP`, or why the command will not run. */
  reports?: boolean;
}

/**
 * The command with its environment and directory: directly where that is safe, else by a shell that reads what to do from
 * standard input, so that values of variables appear in no argument list.
 */
function enter(
  tools: Tools,
  options: { command: string[]; env: Record<string, string>; workingDir?: string },
): Launch {
  const { command, env, workingDir = '/' } = options;
  const names = Object.keys(env);
  if (workingDir === '/' && names.every((name) => HARMLESS.test(name))) return { argv: command, env };
  const script = [
    `cd ${quote(workingDir)} || { echo "cannot enter the working directory" >&2; exit 126; }`,
    'unset PWD OLDPWD',
    ...names.filter((name) => IDENTIFIER.test(name)).map((name) => `export ${name}=${quote(env[name]!)}`),
  ];
  // Names that are no shell identifiers can only be passed on by env(1).
  const others = names.filter((name) => !IDENTIFIER.test(name)).map((name) => quote(`${name}=${env[name]}`));
  if (others.length > 0) script.push(`set -- ${tools.env} ${others.join(' ')} "$@"`);
  script.push('exec "$@" </dev/null', '');
  return { argv: [tools.sh, '-s', '--', ...command], env: {}, input: script.join('\n') };
}

export interface SandboxLaunch {
  tools: Tools;
  privileges: Privileges;
  /** Visible in the process list, so that leftovers can be recognised. */
  marker: string;
  platformPid: number;
  hostname: string;
  /** Path of the mount table, and the directory it is about. */
  fstab: string;
  root: string;
  /** Directory for changes to an image. */
  upper?: string;
  entrances: string[];
  command: string[];
  env: Record<string, string>;
  workingDir?: string;
  user?: ContainerUser;
  /** The root is an image: what becomes the command there. */
  entry?: string[];
}

/** How a user namespace shows the platform's own user: as root, or as whom the container asks for. */
const mapping = (user: ContainerUser | undefined) =>
  user
    ? [`--map-user=${user.uid ?? 0}`, `--map-group=${user.gid ?? user.groups[0] ?? 0}`, '--keep-caps']
    : ['--map-root-user'];

/** argv of a container in its own mount, pid, ipc and uts namespaces, that dies with the process that spawns it. */
export function sandboxLaunch(options: SandboxLaunch): Launch {
  const { tools, privileges, root, entrances, user, entry } = options;
  const inner: Launch = entry ? { argv: entry, env: {} } : enter(tools, options);
  const drop = entry
    ? []
    : privileges.kind === 'user'
      ? [
          tools.chroot,
          `--userspec=+${user?.uid ?? privileges.uid}:+${user?.gid ?? privileges.gid}`,
          `--groups=${(user?.groups ?? []).map((gid) => `+${gid}`).join(',')}`,
          root,
        ]
      : [tools.chroot, root, tools.setpriv, ...(user ? NO_KEPT_CAPABILITIES : NO_CAPABILITIES)];
  const namespaces = ['--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child=KILL'];
  if (privileges.kind === 'same' && privileges.userNamespace) namespaces.unshift('--user', ...mapping(user));
  return {
    ...inner,
    reports: true,
    argv: [
      tools.setpriv,
      '--pdeathsig=KILL',
      '--no-new-privs',
      tools.unshare,
      ...namespaces,
      '--',
      tools.sh,
      '-c',
      INIT.replaceAll('MOUNT', tools.mount)
        .replace('MKDIR', tools.mkdir)
        .replace('SETNAME', tools.hostname ?? ':'),
      options.marker,
      String(options.platformPid),
      options.hostname,
      options.fstab,
      options.upper ?? '',
      String(entrances.length),
      ...entrances,
      ...drop,
      ...inner.argv,
    ],
  };
}

const joinUser = (privileges: Privileges) =>
  privileges.kind === 'same' && privileges.userNamespace ? ['--user', '--preserve-credentials'] : [];

/** argv of a command beside a sandboxed container's main process \`pid\`. `entry`: as in `SandboxLaunch`. */
export function execLaunch(
  tools: Tools,
  privileges: Privileges,
  pid: number,
  options: {
    command: string[];
    env: Record<string, string>;
    workingDir?: string;
    user?: ContainerUser;
    entry?: string[];
  },
): Launch {
  const { user, entry } = options;
  const inner: Launch = entry ? { argv: entry, env: {} } : enter(tools, options);
  const root = entry ? [] : ['--root', '--wd'];
  const into = [tools.nsenter, `--target=${pid}`, '--mount', '--pid', '--ipc', '--uts', ...root];
  const drop = entry
    ? [...joinUser(privileges), '--']
    : privileges.kind === 'user'
      ? [`--setuid=${user?.uid ?? privileges.uid}`, `--setgid=${user?.gid ?? privileges.gid}`, '--']
      : [...joinUser(privileges), '--', tools.setpriv, ...NO_CAPABILITIES];
  return {
    ...inner,
    argv: [tools.setpriv, '--pdeathsig=KILL', '--no-new-privs', ...into, ...drop, ...inner.argv],
  };
}

/** argv that adds a bind mount to the namespace whose first process is `init`; it still sees the host's tree beside its root. */
export function mountLaunch(
  tools: Tools,
  privileges: Privileges,
  init: number,
  mount: { source: string; target: string; readOnly: boolean },
): string[] {
  const options = mount.readOnly ? ['--bind', '--options=ro'] : ['--bind'];
  return [
    tools.nsenter,
    `--target=${init}`,
    ...joinUser(privileges),
    '--mount',
    '--',
    tools.mount,
    ...options,
    mount.source,
    mount.target,
  ];
}

const PLAIN = `[ -d "/proc/$1" ] || exit 125
n=$2; shift 2
while [ "$n" -gt 0 ]; do echo 0 >"$1" || { echo "${NO_GROUP}$1" >&4; exit 125; }; shift; n=$((n-1)); done
echo ${SET_UP} >&4; exec 4>&-
exec "$@"`;

/** Without any namespace; dies with the platform, but only itself and only where setpriv exists. */
export function plainLaunch(
  tools: Tools | undefined,
  options: {
    entrances: string[];
    platformPid: number;
    marker: string;
    command: string[];
    env: Record<string, string>;
  },
): Launch {
  const { command, entrances, env } = options;
  if (!tools) return { argv: command, env };
  const bound = [tools.setpriv, '--pdeathsig=KILL', '--', tools.sh, '-c', PLAIN, options.marker];
  const numbers = [String(options.platformPid), String(entrances.length)];
  return { argv: [...bound, ...numbers, ...entrances, ...command], env, reports: true };
}
