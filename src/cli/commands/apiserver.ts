import { DEFAULT_API, DEFAULT_GATEWAY, parseAddress } from '../../platform/address.ts';
import type { CommandContext } from '../command.ts';
import { describePlatform, refuseSecond, startInBackground } from '../platform.ts';

/** Runs the API alone; everything else runs elsewhere with `petrel up --kubeconfig`. */
export async function run(context: CommandContext): Promise<number> {
  const { args, home, out } = context;
  const api = parseAddress(args.text('api'), DEFAULT_API, '--api');
  await refuseSecond(home, args.integer('ready-fd'));
  const print = (record: Parameters<typeof describePlatform>[0]) =>
    out.data({ ready: true, ...record }, () => out.line(`The API is ready\n${describePlatform(record)}`));
  if (args.flag('detach')) {
    await print(await startInBackground(context, 'apiserver'));
    return 0;
  }
  const { runPlatform } = await import('../../platform/run.ts');
  return runPlatform({
    role: 'apiserver',
    home,
    gateway: DEFAULT_GATEWAY,
    api,
    readyFd: args.integer('ready-fd'),
    onReady: print,
    onWarning: (line) => out.note(line),
  });
}
