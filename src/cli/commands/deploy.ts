import { DEFAULT_API, DEFAULT_GATEWAY, parseAddress } from '../../platform/address.ts';
import type { CommandContext } from '../command.ts';
import { isManifests } from '../deploy/documents.ts';

/** Deploys what is at the path: sources and programs as a function, YAML as the objects in it. */
export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  parseAddress(args.text('gateway'), DEFAULT_GATEWAY, '--gateway');
  parseAddress(args.text('api'), DEFAULT_API, '--api');
  if (isManifests(args.required(0))) {
    const { deployManifests } = await import('../deploy/manifests.ts');
    return deployManifests(context);
  }
  const { deployCode } = await import('../deploy/code.ts');
  return deployCode(context);
}
