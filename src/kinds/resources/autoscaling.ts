/** autoscaling/v2 and discovery.k8s.io/v1. Source: kubernetes `pkg/registry/{autoscaling,discovery}`, 1.32. */
import { ENDPOINTSLICE_COLUMNS, HPA_COLUMNS } from '../columns/network.ts';
import { invalid, notSupported, required } from '../field.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceDefinition } from '../resource.ts';
import { defaults, items } from '../strategies/untyped.ts';
import { rows } from './row.ts';

function validateHpa({ spec = {} }: UntypedObject): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['kind', 'name']) {
    if (!spec.scaleTargetRef?.[field]) errors.push(required(`spec.scaleTargetRef.${field}`));
  }
  const { minReplicas: min, maxReplicas: max = 0 } = spec;
  if (typeof min === 'number' && min < 1)
    errors.push(invalid('spec.minReplicas', min, 'must be greater than or equal to 1'));
  if (max < 1) errors.push(invalid('spec.maxReplicas', max, 'must be greater than 0'));
  if (typeof min === 'number' && max < min)
    errors.push(invalid('spec.maxReplicas', max, 'must be greater than or equal to `minReplicas`'));
  return errors;
}

const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6'];

export const AUTOSCALING_RESOURCES: ResourceDefinition[] = [
  ...rows('autoscaling', 'v2', 'io.k8s.api.autoscaling.v2', [
    {
      kind: 'HorizontalPodAutoscaler',
      plural: 'horizontalpodautoscalers',
      shortNames: ['hpa'],
      categories: ['all'],
      subresources: ['status'],
      columns: HPA_COLUMNS,
      strategy: {
        setDefaults(object) {
          object.spec ??= {};
          defaults(object.spec, { minReplicas: 1 });
          if (items(object.spec.metrics).length === 0) {
            const target = { type: 'Utilization', averageUtilization: 80 };
            object.spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }];
          }
        },
        validate: validateHpa,
      },
    },
  ]),
  ...rows('discovery.k8s.io', 'v1', 'io.k8s.api.discovery.v1', [
    {
      kind: 'EndpointSlice',
      plural: 'endpointslices',
      columns: ENDPOINTSLICE_COLUMNS,
      hasGeneration: true,
      strategy: {
        setDefaults(object) {
          for (const port of items(object.ports)) defaults(port, { name: '', protocol: 'TCP' });
        },
        validate: ({ addressType }) =>
          addressType
            ? ADDRESS_TYPES.includes(addressType)
              ? []
              : [notSupported('addressType', addressType, ADDRESS_TYPES)]
            : [required('addressType')],
        validateUpdate: (object, old) =>
          object.addressType === old.addressType
            ? []
            : [invalid('addressType', object.addressType, 'field is immutable')],
      },
    },
  ]),
];
