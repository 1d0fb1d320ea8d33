/**
 * How a Service scales, as annotations: those on the Service itself hold at once, those on its template with the next revision.
 * On the Service they are in our own group: Knative refuses its own there.
 */
import { PetrelError } from '../../base/errors.ts';
import type { Service } from '../../kinds/serving.ts';
import type { Args } from '../args.ts';

/** Option → name of the annotation in either group, and what its value looks like. */
export const SCALE_OPTIONS: Readonly<
  Record<string, { name: string; form: RegExp; example: string; help: string }>
> = {
  min: {
    name: 'min-scale',
    form: /^\d{1,5}$/,
    example: '1',
    help: 'least instances',
  },
  max: {
    name: 'max-scale',
    form: /^\d{1,5}$/,
    example: '10',
    help: 'most instances; 0: unlimited',
  },
  target: {
    name: 'target',
    form: /^\d+(\.\d+)?$/,
    example: '50',
    help: 'what one instance is to have of the metric: requests at once, or per second',
  },
  utilization: {
    name: 'target-utilization-percentage',
    form: /^\d{1,3}(\.\d+)?$/,
    example: '70',
    help: 'percent of the target that is aimed at',
  },
  metric: {
    name: 'metric',
    form: /^[a-z][a-z0-9-]*$/,
    example: 'rps',
    help: 'concurrency, rps, cpu or memory',
  },
  window: {
    name: 'window',
    form: /^(\d+(\.\d+)?(h|m|s))+$/,
    example: '60s',
    help: 'time over which the metric is averaged',
  },
  'down-delay': {
    name: 'scale-down-delay',
    form: /^(\d+(\.\d+)?(h|m|s))+$|^0$/,
    example: '5m',
    help: 'time that fewer instances must suffice before there are fewer',
  },
};
/** Takes an annotation away. */
const NONE = 'none';
const ON_SERVICE = 'autoscaling.petrel.dev/';
const ON_TEMPLATE = 'autoscaling.knative.dev/';

/** The annotations to set, or with undefined to take away. Throws `InvalidArgument`. */
export function scaleEdits(args: Args): Record<string, string | undefined> {
  const edits: Record<string, string | undefined> = {};
  for (const [option, { name, form, example }] of Object.entries(SCALE_OPTIONS)) {
    const value = args.text(option);
    if (value === undefined) continue;
    if (value !== NONE && !form.test(value)) {
      throw new PetrelError('InvalidArgument', `--${option} ${value} is not understood`, {
        fix: `for example --${option} ${example}, or --${option} ${NONE} to take it back`,
      });
    }
    edits[ON_SERVICE + name] = value === NONE ? undefined : value;
  }
  return edits;
}

/** The Service with these annotations on itself; undefined when it has them. */
export function scaled(service: Service, edits: Record<string, string | undefined>): Service | undefined {
  const annotations = { ...service.metadata.annotations };
  for (const [key, value] of Object.entries(edits)) {
    if (value === undefined) delete annotations[key];
    else annotations[key] = value;
  }
  if (JSON.stringify(annotations) === JSON.stringify(service.metadata.annotations ?? {})) return undefined;
  return { ...service, metadata: { ...service.metadata, annotations } };
}

export interface ScaleSetting {
  value: string;
  /** `service`: holds now, for every revision. `template`: came with the revision. */
  from: 'service' | 'template';
}

/** What is set, by option; what is not set is the platform's own. */
export function scaleSettings({ metadata, spec }: Service): Record<string, ScaleSetting> {
  const settings: Record<string, ScaleSetting> = {};
  for (const [option, { name }] of Object.entries(SCALE_OPTIONS)) {
    const own = metadata.annotations?.[ON_SERVICE + name];
    const template = spec.template.metadata?.annotations?.[ON_TEMPLATE + name];
    if (own !== undefined) settings[option] = { value: own, from: 'service' };
    else if (template !== undefined) settings[option] = { value: template, from: 'template' };
  }
  return settings;
}
