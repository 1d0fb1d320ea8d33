import { resolve } from 'node:path';
import { DEFAULT_API, DEFAULT_GATEWAY, parseAddress } from '../../platform/address.ts';
import type { CommandContext } from '../command.ts';
import { describePlatform, refuseSecond, startInBackground } from '../platform.ts';

/** Starts the platform, in the foreground until a signal, or in the background. */
export async function run(context: CommandContext): Promise<number> {
  const { args, home, out } = context;
  const gateway = parseAddress(args.text('gateway'), DEFAULT_GATEWAY, '--gateway');
  const api = parseAddress(args.text('api'), DEFAULT_API, '--api');
  const kubeconfig = args.text('kubeconfig');
  await refuseSecond(home, args.integer('ready-fd'));
  const print = (record: Parameters<typeof describePlatform>[0]) =>
    out.data({ ready: true, ...record }, () => out.line(`Petrel is ready\n${describePlatform(record)}`));
  if (args.flag('detach')) {
    await print(await startInBackground(context, 'up'));
    return 0;
  }
  const { runPlatform } = await import('../../platform/run.ts');
  return runPlatform({
    role: kubeconfig === undefined ? 'all' : 'controllers',
    home,
    gateway,
    api,
    kubeconfig: kubeconfig === undefined ? undefined : resolve(kubeconfig),
    readyFd: args.integer('ready-fd'),
    onReady: print,
    onWarning: (line) => out.note(line),
  });
}
