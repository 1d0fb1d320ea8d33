import { VERSION } from '../../base/version.ts';
import type { CommandContext } from '../command.ts';

/** Prints the versions that a report of a defect should carry. */
export async function run({ out }: CommandContext): Promise<number> {
  const versions = {
    petrel: VERSION,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
  await out.data(versions, () =>
    out.line(`petrel ${versions.petrel} (node ${versions.node}, ${versions.platform})`),
  );
  return 0;
}
