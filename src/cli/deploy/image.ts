/** `petrel deploy oci://registry/team/shop:1.2`: an image as a Knative Service, without a file. */
import { PetrelError } from '../../base/errors.ts';
import { parseReference } from '../../base/oci/reference.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { Service } from '../../kinds/serving.ts';
import { orUndefined } from '../../kube/client.ts';
import { KSERVICES } from '../../kube/refs.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { deployDocuments } from './manifests.ts';
import { specOf } from './spec.ts';

/** Options that a Service has an answer to; the others are about code. */
const OPTIONS = new Set(
  'name namespace env env-from mount min max concurrency timeout memory cpu no-wait gateway api output home'.split(
    ' ',
  ),
);
const MIN = 'autoscaling.knative.dev/min-scale';
const MAX = 'autoscaling.knative.dev/max-scale';

/** Deploys the image; what an earlier deploy has said and this one does not stays. */
export async function deployImage(context: CommandContext, image: string, named: string): Promise<number> {
  const { args } = context;
  parseReference(image);
  const wrong = args.given().find((option) => !OPTIONS.has(option));
  if (wrong !== undefined) {
    throw new PetrelError('InvalidArgument', `--${wrong} does not go with an image`, {
      why: 'an image is run as it is',
      fix: 'build it into the image, or write a Knative Service in YAML; petrel traffic and petrel scale change what is deployed already',
    });
  }
  const namespace = args.text('namespace') ?? 'default';
  const name = args.text('name') ?? named;
  return deployDocuments(context, image, async ({ client }) => {
    const current = await orUndefined(client.get<Service>(KSERVICES, namespace, name));
    if (current?.metadata.ownerReferences?.some(({ controller }) => controller)) {
      throw new PetrelError('InvalidArgument', `${namespace}/${name} is a function`, {
        why: 'its Service belongs to it',
        fix: `choose another name (--name), or delete the function: petrel delete ${name} -n ${namespace}`,
      });
    }
    const object = imageService(args, { name, namespace, image }, current);
    return [{ object: object as unknown as UntypedObject, origin: image }];
  });
}

/** The Service to write. Pure. Throws `InvalidArgument` for options that cannot be meant. */
export function imageService(
  args: Args,
  { name, namespace, image }: { name: string; namespace: string; image: string },
  current: Service | undefined,
): object {
  const { metadata = {}, spec: before } = current?.spec.template ?? {};
  const known = metadata.annotations ?? {};
  const container = before?.containers[0];
  const scale = {
    ...(known[MIN] === undefined ? {} : { min: Number(known[MIN]) }),
    ...(known[MAX] === undefined ? {} : { max: Number(known[MAX]) }),
  };
  const asked = specOf(args, { runtime: '', package: { digest: 'sha256:' } }, {
    env: container?.env,
    envFrom: container?.envFrom,
    resources: container?.resources,
    volumes: before?.volumes,
    volumeMounts: container?.volumeMounts,
    concurrency: before?.containerConcurrency,
    timeoutSeconds: before?.timeoutSeconds,
    scale,
  } as unknown as FunctionSpec);
  const own = Object.fromEntries(
    (['env', 'envFrom', 'resources', 'volumeMounts'] as const).flatMap((key) =>
      asked[key] === undefined ? [] : [[key, asked[key]]],
    ),
  );
  const annotations = {
    ...(asked.scale?.min === undefined ? {} : { [MIN]: String(asked.scale.min) }),
    ...(asked.scale?.max === undefined ? {} : { [MAX]: String(asked.scale.max) }),
  };
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      template: {
        metadata: { annotations },
        spec: {
          containers: [{ image, ...own }],
          ...(asked.volumes === undefined ? {} : { volumes: asked.volumes }),
          ...(asked.concurrency === undefined ? {} : { containerConcurrency: asked.concurrency }),
          ...(asked.timeoutSeconds === undefined ? {} : { timeoutSeconds: asked.timeoutSeconds }),
        },
      },
    },
  };
}
