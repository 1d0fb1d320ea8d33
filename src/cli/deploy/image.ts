/** `petrel deploy oci://registry/team/shop:1.2`: an image as a Function. */
import { PetrelError } from '../../base/errors.ts';
import { parseReference } from '../../base/oci/reference.ts';
import { IMAGE_RUNTIME } from '../../kinds/function.ts';
import type { CommandContext } from '../command.ts';
import { wishesOf } from '../events/apply.ts';
import { checkWishes } from '../events/check.ts';
import { findOrStart } from '../platform.ts';
import { apiError, openSession } from '../session.ts';
import { publish } from './code.ts';
import { checkRollout } from './rollout.ts';
import { runningPlatform } from './running.ts';
import { type Code, specOf } from './spec.ts';

/** Options about code, which an image has none of. */
const OF_CODE =
  'entry runtime handler shape command state build build-command build-env build-timeout image base'.split(
    ' ',
  );

/** Deploys the image; `named` is the name where none is given. */
export async function deployImage(context: CommandContext, image: string, named: string): Promise<number> {
  const { args } = context;
  parseReference(image);
  const wrong = OF_CODE.find((option) => args.given().includes(option));
  if (wrong !== undefined) {
    throw new PetrelError('InvalidArgument', `--${wrong} does not go with an image`, {
      why: 'an image is run as it is',
      fix: 'build it into the image',
    });
  }
  const code: Code = { runtime: IMAGE_RUNTIME, image };
  const name = args.text('name') ?? named;
  specOf(args, code, undefined);
  checkRollout(args, name);
  const wishes = wishesOf(args.list('on'));
  await checkWishes(wishes ?? []);
  const session = await openSession(runningPlatform(await findOrStart(context)));
  try {
    await publish(context, session, { namespace: args.text('namespace') ?? 'default', name, code, wishes });
    return 0;
  } catch (error) {
    throw apiError(error);
  } finally {
    session.transport.close();
  }
}
