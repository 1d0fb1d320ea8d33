/** As whom a container runs, by its security context and its image. Refuses what cannot be had here, rather than leaving it out. Pure. */
import type { Container, Pod } from '../../kinds/pod.ts';
import type { ContainerUser } from './drivers/driver.ts';

/** The security context asks for something this node does not give. Becomes `CreateContainerConfigError`. */
export class SecurityProblem extends Error {}

/** Every container has namespaces of its own. */
const SEPARATE = ['hostPID', 'hostIPC', 'shareProcessNamespace'] as const;

/** `1000`, `1000:1000`; names mean nothing here. Root is what images are by default, and no wish. */
function imageUser(text: string): ContainerUser | undefined {
  const match = /^(\d+)(?::(\d+))?$/.exec(text);
  if (!match || Number(match[1]) === 0) return undefined;
  return { uid: Number(match[1]), ...(match[2] === undefined ? {} : { gid: Number(match[2]) }), groups: [] };
}

/**
 * The user to run as; undefined: the driver's own choice, who has no privileges. Capabilities are always dropped and the root file
 * system is always read-only, so asking for that changes nothing; asking for more is refused. `image` is the image's `User`, which
 * is a wish: where it cannot be had the container still runs. Throws `SecurityProblem`.
 */
export function userOf(
  pod: Pod,
  { name, securityContext: own = {} }: Container,
  image: string | undefined,
  problem: (user: ContainerUser) => string | undefined,
): ContainerUser | undefined {
  const shared = pod.spec.securityContext ?? {};
  for (const field of SEPARATE) {
    if (pod.spec[field])
      throw new SecurityProblem(
        `${field} is not possible on this node: containers see only their own processes`,
      );
  }
  const seccomp = own.seccompProfile ?? shared.seccompProfile;
  if (seccomp?.type === 'Localhost') {
    throw new SecurityProblem(`container ${name}: seccomp profiles of this machine cannot be used`);
  }
  if (own.seLinuxOptions ?? shared.seLinuxOptions) {
    throw new SecurityProblem(
      `container ${name}: seLinuxOptions have no effect on this node, so they are refused`,
    );
  }
  if (own.privileged)
    throw new SecurityProblem(`container ${name}: privileged containers do not run on this node`);
  if (own.capabilities?.add?.length) {
    const asked = own.capabilities.add.join(', ');
    throw new SecurityProblem(`container ${name}: capabilities (${asked}) cannot be added on this node`);
  }
  if (own.procMount && own.procMount !== 'Default') {
    throw new SecurityProblem(`container ${name}: procMount ${own.procMount} is not possible on this node`);
  }
  if (shared.sysctls?.length)
    throw new SecurityProblem('sysctls cannot be set: Pods share the machine’s kernel settings');
  const uid = own.runAsUser ?? shared.runAsUser;
  const gid = own.runAsGroup ?? shared.runAsGroup;
  const groups = [...new Set([...(shared.supplementalGroups ?? []), shared.fsGroup ?? []].flat())];
  const wish = image === undefined ? undefined : imageUser(image);
  if (uid === 0 && (own.runAsNonRoot ?? shared.runAsNonRoot)) {
    throw new SecurityProblem(
      `container's runAsUser breaks non-root policy (pod: "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})", container: ${name})`,
    );
  }
  if (uid === undefined && gid === undefined && groups.length === 0) {
    return wish && problem(wish) === undefined ? wish : undefined;
  }
  const user: ContainerUser = {
    ...(uid === undefined ? wish : { uid }),
    ...(gid === undefined ? {} : { gid }),
    groups,
  };
  const why = problem(user);
  if (why !== undefined) throw new SecurityProblem(`container ${name}: ${why}`);
  return user;
}
