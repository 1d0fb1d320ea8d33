import { PetrelError } from '../../base/errors.ts';
import { askPlatform } from '../../functions/packages/client.ts';
import { FISSION_BEGIN, internalUrl, storageUrl } from '../../platform/dialects.ts';
import type { CommandContext } from '../command.ts';
import { findOrStart } from '../platform.ts';

/** Prints what Fission's own command needs to find this platform, as lines for a shell; from now on the platform is ready for it. */
export async function run(context: CommandContext): Promise<number> {
  const { args, home, out } = context;
  const topic = args.required(0);
  if (topic !== 'env') {
    throw new PetrelError('InvalidArgument', `petrel fission knows nothing of "${topic}"`, {
      fix: 'eval "$(petrel fission env)", then use the fission command',
    });
  }
  const { gateway, kubeconfig } = await findOrStart(context);
  if (gateway === null) {
    throw new PetrelError('PlatformNotRunning', `on ${home.dir} runs the API alone`, {
      fix: 'run this with the --home of the process that runs the gateway',
    });
  }
  await askPlatform(home.socket, 'POST', FISSION_BEGIN);
  const router = `http://${gateway}`;
  const variables = {
    KUBECONFIG: kubeconfig,
    FISSION_ROUTER_URL: router,
    FISSION_ROUTER_INTERNAL_URL: internalUrl(home, gateway),
    FISSION_STORAGESVC_URL: storageUrl(home, gateway),
  };
  await out.data(variables, () => {
    for (const [name, value] of Object.entries(variables)) out.line(`export ${name}='${value}'`);
  });
  return 0;
}
