/** How much memory an instance may use: what its revision says, or what the platform says for those that say nothing. Pure. */
import { PetrelError } from '../../base/errors.ts';
import { type Container, NODE_ANNOTATIONS, type ResourceRequirements } from '../../kinds/pod.ts';
import { parseQuantity } from '../../kinds/quantity.ts';

/** For functions that say nothing of memory: enough for most, too little to take the machine from the others. */
const USUAL = '1Gi';

/** The limit of functions without one, by the setting `PETREL_FUNCTION_MEMORY`; undefined: they have none. Throws `StartFailed`. */
export function defaultMemory(setting: string | undefined): string | undefined {
  const text = setting?.trim() || USUAL;
  if (text === 'none' || text === '0') return undefined;
  if (parseQuantity(text) >= 1024 * 1024) return text;
  throw new PetrelError('StartFailed', `PETREL_FUNCTION_MEMORY is "${text}", which is no amount of memory`, {
    why: 'It is the limit of instances of functions that have none of their own.',
    fix: 'Write an amount of at least a mebibyte, as 512Mi or 2Gi, or none.',
  });
}

/** A container's resources with the default where it says nothing of memory; a limit of 0 is none. */
export function resourcesOf(
  { resources }: Pick<Container, 'resources'>,
  memory: string | undefined,
): ResourceRequirements | undefined {
  const said = resources?.limits?.memory ?? resources?.requests?.memory;
  if (memory === undefined || said !== undefined) return resources;
  return { ...resources, limits: { ...resources?.limits, memory } };
}

/** Merge patch by which a running Pod gets its limits; undefined: there are none. */
export function resourcesPatch(resources: ResourceRequirements | undefined) {
  if (resources === undefined) return undefined;
  return { metadata: { annotations: { [NODE_ANNOTATIONS.resources]: JSON.stringify(resources) } } };
}
