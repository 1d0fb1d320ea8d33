import { DEFAULT_API, DEFAULT_GATEWAY, parseAddress } from '../../platform/address.ts';
import type { CommandContext } from '../command.ts';
import { isManifests } from '../deploy/documents.ts';
import { originOf } from '../deploy/origin.ts';

/** Deploys what is at the path: sources and programs as a function, YAML as the objects in it. */
export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  parseAddress(args.text('gateway'), DEFAULT_GATEWAY, '--gateway');
  parseAddress(args.text('api'), DEFAULT_API, '--api');
  const place = args.required(0);
  const origin = originOf(place);
  if (origin.kind === 'local') return deployAt(context);
  if (origin.kind === 'image') {
    const { deployImage } = await import('../deploy/image.ts');
    return deployImage(context, origin.image, origin.name);
  }
  const { bring } = await import('../deploy/place.ts');
  const brought = await context.out.progress(`fetching ${place}`, bring(place, origin));
  try {
    return await deployAt({ ...context, args: args.withPositional(0, brought.path) });
  } finally {
    await brought.dispose();
  }
}

async function deployAt(context: CommandContext): Promise<number> {
  if (isManifests(context.args.required(0))) {
    const { deployManifests } = await import('../deploy/manifests.ts');
    return deployManifests(context);
  }
  const { deployCode } = await import('../deploy/code.ts');
  return deployCode(context);
}
