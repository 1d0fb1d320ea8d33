/** Aliases of a function, as the commands read and write them. */
import { PetrelError } from '../../base/errors.ts';
import type { FunctionAlias } from '../../kinds/function.ts';
import { dns1035Label } from '../../kinds/name.ts';
import { type KubeClient, KubeError, orUndefined } from '../../kube/client.ts';
import { FUNCTION_ALIASES } from '../../kube/refs.ts';
import { readyCondition } from '../conditions.ts';
import { until } from '../deploy/wait.ts';

/** On a revision that was published: what is in it, for people. */
export const DESCRIPTION = 'petrel.dev/description';
/** How long an alias may take to lead where it should, milliseconds. */
const LIMIT_MS = 30_000;

/** Name of the object, which becomes part of the URL. Throws `InvalidName`. */
export function aliasName(fn: string, alias: string): string {
  const name = `${fn}-${alias}`;
  const [problem] = dns1035Label(name);
  if (problem === undefined) return name;
  throw new PetrelError('InvalidName', `"${alias}" cannot be an alias of ${fn}`, {
    why: `${name} becomes part of a host name: ${problem}`,
    fix: 'use lower-case letters, digits and dashes, at most 63 with the name of the function',
  });
}

/** All aliases of a function, by name. */
export async function aliasesOf(client: KubeClient, namespace: string, fn: string): Promise<FunctionAlias[]> {
  const { items } = await client.list<FunctionAlias>(FUNCTION_ALIASES, { namespace });
  return items
    .filter(({ spec }) => spec.function === fn)
    .sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
}

/** Writes the alias and waits until it leads there. Throws `NameTaken`, and what `leadsThere` throws. */
export async function writeAlias(
  client: KubeClient,
  namespace: string,
  name: string,
  spec: FunctionAlias['spec'],
): Promise<FunctionAlias> {
  const get = () => orUndefined(client.get<FunctionAlias>(FUNCTION_ALIASES, namespace, name));
  let written: FunctionAlias | undefined;
  for (let attempt = 0; written === undefined; attempt++) {
    const found = await get();
    if (found && found.spec.function !== spec.function)
      throw new PetrelError('NameTaken', `${name} is an alias of ${found.spec.function}`, {
        fix: 'choose another name for the alias',
      });
    try {
      written = found
        ? await client.update<FunctionAlias>(FUNCTION_ALIASES, { ...found, spec })
        : await client.create<FunctionAlias>(FUNCTION_ALIASES, {
            apiVersion: 'petrel.dev/v1',
            kind: 'FunctionAlias',
            metadata: { name, namespace },
            spec,
          });
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 409 || attempt === 4) throw error;
    }
  }
  return until(client, { resource: FUNCTION_ALIASES, object: written, limitMs: LIMIT_MS, done: leadsThere });
}

/** Throws `NotReady` with what keeps it from leading there, once that is known. */
function leadsThere(alias: FunctionAlias): boolean {
  const ready = readyCondition(alias);
  if (ready?.status !== 'False') return ready?.status === 'True';
  throw new PetrelError('NotReady', `the alias ${alias.metadata.name} does not lead there`, {
    why: ready.message ?? ready.reason ?? '',
    fix: `petrel revisions ${alias.spec.function} shows which revisions are ready`,
  });
}
