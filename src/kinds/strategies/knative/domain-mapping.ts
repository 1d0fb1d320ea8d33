/** DomainMappings. Source: knative.dev/serving `pkg/apis/serving/v1beta1`, knative.dev/pkg `apis/duck/v1` KReference. */
import { dns1123Label, dns1123Subdomain } from '../../name.ts';
import type { UntypedObject } from '../../object.ts';
import type { ResourceStrategy } from '../../resource.ts';
import { denial, disallowed, type KnativeProblem, missing, problem } from './errors.ts';
import { recordUser, validateUsers } from './metadata.ts';

const CLUSTER_DOMAIN = 'cluster.local';
/** What a reference means that gives a kind alone; upstream asks for all of it. */
const KINDS: Record<string, string> = {
  Service: 'serving.knative.dev/v1',
  Route: 'serving.knative.dev/v1',
  Function: 'petrel.dev/v1',
};

/** What is wrong with a name as a whole domain name. Source: apimachinery `validation.IsFullyQualifiedDomainName`. */
function nameProblem(name: string): string | undefined {
  const wrong = (value: string, why: string): string =>
    `name: Invalid value: ${JSON.stringify(value)}: ${why}`;
  if (name === '') return 'name: Required value';
  const subdomain = dns1123Subdomain(name);
  if (subdomain.length > 0) return wrong(name, subdomain.join(','));
  const labels = name.split('.');
  if (labels.length < 2)
    return wrong(name, 'should be a domain with at least two segments separated by dots');
  for (const label of labels) {
    const problems = dns1123Label(label);
    if (problems.length > 0) return wrong(label, problems.join(','));
  }
  return undefined;
}

function validateMeta({ metadata }: UntypedObject): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  const name = metadata.name ?? '';
  const about = `invalid name ${JSON.stringify(name)}`;
  if (metadata.generateName) problems.push(disallowed('metadata.generateName'));
  const wrong = nameProblem(name);
  if (wrong !== undefined) problems.push(problem(`${about}: ${wrong}`, 'metadata.name'));
  if (name.endsWith(`.${CLUSTER_DOMAIN}`)) {
    const why = `must not be a subdomain of cluster local domain "${CLUSTER_DOMAIN}"`;
    problems.push(problem(`${about}: ${why}`, 'metadata.name'));
  }
  return problems;
}

function validateRef({ spec, metadata }: UntypedObject): KnativeProblem[] {
  const ref = spec?.ref ?? {};
  const problems = ['name', 'apiVersion', 'kind']
    .filter((field) => !ref[field])
    .map((field) => missing(`spec.ref.${field}`));
  if (ref.group) problems.push(disallowed('spec.ref.group'));
  if (ref.namespace && metadata.namespace && ref.namespace !== metadata.namespace) {
    const details = `parent namespace: ${JSON.stringify(metadata.namespace)} does not match ref: ${JSON.stringify(ref.namespace)}`;
    problems.push(problem('mismatched namespaces', 'spec.ref.namespace', details));
  }
  return problems;
}

export const DOMAIN_MAPPING_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, { user }) {
    object.spec ??= {};
    object.spec.ref ??= {};
    const { ref } = object.spec;
    ref.namespace ||= object.metadata.namespace;
    if (!ref.apiVersion && !ref.group) {
      ref.kind ||= 'Service';
      const apiVersion = Object.hasOwn(KINDS, ref.kind) ? KINDS[ref.kind] : undefined;
      if (apiVersion !== undefined) ref.apiVersion = apiVersion;
    }
    recordUser(object, old, user);
  },
  deny: (object, old) =>
    denial([...validateMeta(object), ...validateRef(object), ...validateUsers(object, old)]),
};
