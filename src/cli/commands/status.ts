import { ERROR_CODES } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import { describePlatform } from '../platform.ts';
import { findPlatform } from '../session.ts';

/** Tells whether a platform runs on this home. Exit code 13 when none does. */
export async function run({ home, out }: CommandContext): Promise<number> {
  const record = await findPlatform(home);
  if (record) {
    await out.data({ ready: true, ...record }, () =>
      out.line(`Petrel is ready\n${describePlatform(record)}`),
    );
    return 0;
  }
  const none = { ready: false, gateway: null, api: null, home: home.dir, pid: null };
  await out.data(none, () => out.line(`No platform runs on ${home.dir}; petrel up --detach starts it`));
  return ERROR_CODES.PlatformNotRunning;
}
