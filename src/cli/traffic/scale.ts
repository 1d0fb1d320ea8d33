/** How a Service scales, as annotations: those on the Service itself hold at once, those on its template with the next revision. */
import { PetrelError } from '../../base/errors.ts';
import type { Service } from '../../kinds/serving.ts';
import type { Args } from '../args.ts';

/** On a Service, for all its revisions and at once; with the names that `TEMPLATE` has for one revision. */
const LIVE = 'autoscaling.petrel.dev/';
const TEMPLATE = 'autoscaling.knative.dev/';
/** Short names of classes. */
const CLASSES: Readonly<Record<string, string>> = {
  kpa: 'kpa.autoscaling.knative.dev',
  hpa: 'hpa.autoscaling.knative.dev',
  hybrid: 'hybrid.autoscaling.petrel.dev',
  'keep-alive': 'keep-alive.autoscaling.petrel.dev',
};

/** Option → annotation without its group, and what its value looks like. */
export const SCALE_OPTIONS: Readonly<
  Record<string, { annotation: string; form: RegExp; example: string; help: string }>
> = {
  min: {
    annotation: 'min-scale',
    form: /^\d{1,5}$/,
    example: '1',
    help: 'least instances',
  },
  max: {
    annotation: 'max-scale',
    form: /^\d{1,5}$/,
    example: '10',
    help: 'most instances; 0: unlimited',
  },
  target: {
    annotation: 'target',
    form: /^\d+(\.\d+)?$/,
    example: '50',
    help: 'what one instance is to have of the metric: requests at once, or per second',
  },
  utilization: {
    annotation: 'target-utilization-percentage',
    form: /^\d{1,3}(\.\d+)?$/,
    example: '70',
    help: 'percent of the target that is aimed at',
  },
  metric: {
    annotation: 'metric',
    form: /^[a-z][a-z0-9-]*$/,
    example: 'rps',
    help: 'concurrency, rps, cpu or memory',
  },
  window: {
    annotation: 'window',
    form: /^(\d+(\.\d+)?(h|m|s))+$/,
    example: '60s',
    help: 'time over which the metric is averaged',
  },
  'down-delay': {
    annotation: 'scale-down-delay',
    form: /^(\d+(\.\d+)?(h|m|s))+$|^0$/,
    example: '5m',
    help: 'time that fewer instances must suffice before there are fewer',
  },
  'keep-warm': {
    annotation: 'scale-to-zero-pod-retention-period',
    form: /^(\d+(\.\d+)?(h|m|s))+$|^0$/,
    example: '10m',
    help: 'the last instance stays for this time at least',
  },
  class: {
    annotation: 'class',
    form: /^(kpa|hpa|hybrid|keep-alive)$/,
    example: 'hybrid',
    help: 'kpa: by requests; hybrid: stays warm by its habits; keep-alive: by a fixed time; hpa: by CPU or memory',
  },
};
/** Takes an annotation away. */
const NONE = 'none';

/** The annotations to set, or with undefined to take away. Throws `InvalidArgument`. */
export function scaleEdits(args: Args): Record<string, string | undefined> {
  const edits: Record<string, string | undefined> = {};
  for (const [option, { annotation, form, example }] of Object.entries(SCALE_OPTIONS)) {
    const value = args.text(option);
    if (value === undefined) continue;
    if (value !== NONE && !form.test(value)) {
      throw new PetrelError('InvalidArgument', `--${option} ${value} is not understood`, {
        fix: `for example --${option} ${example}, or --${option} ${NONE} to take it back`,
      });
    }
    edits[LIVE + annotation] = value === NONE ? undefined : (CLASSES[value] ?? value);
  }
  const [min, max] = [Number(args.text('min')), Number(args.text('max'))];
  if (max > 0 && min > max)
    throw new PetrelError('InvalidArgument', `--min ${min} is more than --max ${max}`, {
      fix: 'make --max at least as large, or 0 for no limit',
    });
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
  for (const [option, { annotation }] of Object.entries(SCALE_OPTIONS)) {
    const own = metadata.annotations?.[LIVE + annotation];
    const template = spec.template.metadata?.annotations?.[TEMPLATE + annotation];
    if (own !== undefined) settings[option] = { value: own, from: 'service' };
    else if (template !== undefined) settings[option] = { value: template, from: 'template' };
  }
  return settings;
}
