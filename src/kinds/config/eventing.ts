/**
 * Knative Eventing's ConfigMaps: which there are, what they say, and what is wrong with one. Pure; read with the first object of eventing.
 * Source: knative.dev/eventing `pkg/apis/{config,feature,sugar}`, `pkg/apis/{messaging,sources}/config`.
 */
import { type ConfigData, ConfigMapError, field, int64, readFields, type Values, yaml } from './read.ts';

/** Where the ConfigMaps are. */
export const EVENTING_NAMESPACE = 'knative-eventing';

/** A part of a ConfigMap that is YAML: of a form that is checked where it is used. */
// biome-ignore lint/suspicious/noExplicitAny: YAML that administrators write
type Tree = Record<string, any>;

/** What a Broker gets that does not say it itself. */
export interface BrokerConfig {
  /** A reference to whatever configures this class. */
  config?: Tree;
  delivery?: Tree;
}

export interface BrokerDefaults {
  /** The class of Brokers of that namespace without one. */
  classFor(namespace: string): string | undefined;
  /** For Brokers of that class; absent: of no class yet. */
  configFor(namespace: string, brokerClass?: string): BrokerConfig | undefined;
  /** Whether `spec.config` may name another namespace. */
  foreignConfig(namespace: string): boolean;
}

/** `apiVersion`, `kind` and `spec` of the channels that are made where nothing else is said. */
export interface ChannelTemplate {
  apiVersion: string;
  kind: string;
  spec?: Tree;
}

/** Which objects sugar is spread on: a LabelSelector; absent is none. */
export interface SugarConfig {
  namespaces?: Tree;
  triggers?: Tree;
}

type Flag = 'Enabled' | 'Disabled' | 'Allowed';
const anyFlag =
  <T extends string>(...more: T[]) =>
  (raw: string): Flag | T => {
    const flags: (Flag | T)[] = ['Enabled', 'Disabled', 'Allowed', ...more];
    const found = flags.find((flag) => flag.toLowerCase() === raw.trim().toLowerCase());
    if (found === undefined)
      throw new Error(`must be one of ${flags.join(', ')}, was ${JSON.stringify(raw)}`);
    return found;
  };
const on = (key: string) => field<Flag>(anyFlag(), 'Enabled', key);
const off = (key: string) => field<Flag>(anyFlag(), 'Disabled', key);

/** Three that upstream has off are on: they only take nothing away. */
const FEATURES = {
  deliveryTimeout: on('delivery-timeout'),
  deliveryRetryAfter: on('delivery-retryafter'),
  newApiServerSourceFilters: on('new-apiserversource-filters'),
  eventTypeAutoCreate: on('eventtype-auto-create'),
  kreferenceGroup: off('kreference-group'),
  kreferenceMapping: off('kreference-mapping'),
  crossNamespaceEventLinks: off('cross-namespace-event-links'),
  transportEncryption: field(
    anyFlag<'Permissive' | 'Strict'>('Permissive', 'Strict'),
    'Disabled',
    'transport-encryption',
  ),
  authenticationOidc: off('authentication-oidc'),
  defaultAuthorizationMode: field(
    anyFlag<'Allow-All' | 'Deny-All' | 'Allow-Same-Namespace'>(
      'Allow-All',
      'Deny-All',
      'Allow-Same-Namespace',
    ),
    'Allow-Same-Namespace',
    'default-authorization-mode',
  ),
};

export type EventingFeatures = Values<typeof FEATURES>;

/** What the ConfigMaps say. */
export interface EventingConfig {
  brokers: BrokerDefaults;
  channelFor(namespace: string): ChannelTemplate;
  ping: { dataMaxSize: number };
  features: EventingFeatures;
  sugar: SugarConfig;
  /** `Kind.version.group` → template of an address. */
  mapping: Readonly<Record<string, string>>;
}

/** Petrel's own class. */
export const PETREL_CLASS = 'Petrel';
/** Upstream's, with the same meaning here. */
export const CHANNEL_BASED_CLASS = 'MTChannelBasedBroker';
const DELIVERY = { retry: 10, backoffPolicy: 'exponential', backoffDelay: 'PT0.2S' };
const CHANNEL: ChannelTemplate = { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' };

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function tree(data: ConfigData, key: string): Tree | undefined {
  const raw = data[key];
  if (raw === undefined || raw.trim() === '') return undefined;
  let value: unknown;
  try {
    value = yaml(raw);
  } catch (error) {
    throw new ConfigMapError(`Failed to parse the entry: ${(error as Error).message}`);
  }
  if (!isTree(value)) throw new ConfigMapError(`Failed to parse the entry: "${key}" must be a map`);
  return value;
}

/** A reference and a delivery spec as they stand beside each other. */
function brokerConfig(part: unknown): BrokerConfig | undefined {
  if (!isTree(part)) return undefined;
  const { apiVersion, kind, name, namespace, group, delivery } = part;
  const config = { kind, namespace, name, apiVersion, group };
  for (const key of Object.keys(config) as (keyof typeof config)[])
    if (config[key] === undefined) delete config[key];
  if (Object.keys(config).length === 0 && !isTree(delivery)) return undefined;
  return {
    ...(Object.keys(config).length > 0 && { config }),
    ...(isTree(delivery) && { delivery }),
  };
}

/** `config-br-defaults`. */
function parseBrokerDefaults(data: ConfigData): BrokerDefaults {
  const all = tree(data, 'default-br-config') ?? {
    clusterDefault: { brokerClass: PETREL_CLASS, delivery: DELIVERY },
  };
  const cluster: Tree = isTree(all.clusterDefault) ? all.clusterDefault : {};
  const namespaces: Tree = isTree(all.namespaceDefaults) ? all.namespaceDefaults : {};
  const ofNamespace = (namespace: string): Tree =>
    Object.hasOwn(namespaces, namespace) && isTree(namespaces[namespace]) ? namespaces[namespace] : {};
  const ofClass = (part: Tree, name: string): BrokerConfig | undefined =>
    isTree(part.brokerClasses) && Object.hasOwn(part.brokerClasses, name)
      ? brokerConfig(part.brokerClasses[name])
      : undefined;
  return {
    classFor: (namespace) => ofNamespace(namespace).brokerClass || cluster.brokerClass || undefined,
    configFor(namespace, given) {
      const own = ofNamespace(namespace);
      const name: string = given || own.brokerClass || '';
      const fromNamespace =
        ofClass(own, name) ?? (name !== '' && own.brokerClass === name ? brokerConfig(own) : undefined);
      return fromNamespace ?? ofClass(cluster, name) ?? brokerConfig(cluster);
    },
    foreignConfig: (namespace) =>
      !(ofNamespace(namespace).disallowDifferentNamespaceConfig ?? cluster.disallowDifferentNamespaceConfig),
  };
}

/** `default-ch-webhook`. */
function parseChannelDefaults(data: ConfigData): EventingConfig['channelFor'] {
  const all = tree(data, 'default-ch-config') ?? {};
  const template = (part: unknown): ChannelTemplate | undefined =>
    isTree(part) && typeof part.apiVersion === 'string' && typeof part.kind === 'string'
      ? { apiVersion: part.apiVersion, kind: part.kind, ...(isTree(part.spec) && { spec: part.spec }) }
      : undefined;
  const cluster = template(all.clusterDefault) ?? CHANNEL;
  return (namespace) =>
    isTree(all.namespaceDefaults) && Object.hasOwn(all.namespaceDefaults, namespace)
      ? (template(all.namespaceDefaults[namespace]) ?? cluster)
      : cluster;
}

const PING = { dataMaxSize: field(int64, -1, 'dataMaxSize', 'data-max-size') };

function parseSugar(data: ConfigData): SugarConfig {
  const namespaces = tree(data, 'namespace-selector');
  const triggers = tree(data, 'trigger-selector');
  return { ...(namespaces && { namespaces }), ...(triggers && { triggers }) };
}

const parseMapping = (data: ConfigData): Record<string, string> =>
  Object.fromEntries(Object.entries(data).filter(([key]) => !key.startsWith('_')));

const PARSERS: Record<string, (data: ConfigData) => Partial<EventingConfig>> = {
  'config-br-defaults': (data) => ({ brokers: parseBrokerDefaults(data) }),
  'default-ch-webhook': (data) => ({ channelFor: parseChannelDefaults(data) }),
  'config-ping-defaults': (data) => ({ ping: readFields(PING, data) }),
  'config-features': (data) => ({ features: readFields(FEATURES, data) }),
  'config-sugar': (data) => ({ sugar: parseSugar(data) }),
  'config-kreference-mapping': (data) => ({ mapping: parseMapping(data) }),
};

/** Those that mean something here. */
export const EVENTING_CONFIG_NAMES: readonly string[] = Object.keys(PARSERS);

/** What the ConfigMaps are when eventing begins, so that one sees what can be said; the last two are there for upstream's tools. */
export const EVENTING_CONFIG_MAPS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'config-br-defaults': {
    'default-br-config': `clusterDefault:
  brokerClass: ${PETREL_CLASS}
  delivery:
    retry: ${DELIVERY.retry}
    backoffPolicy: ${DELIVERY.backoffPolicy}
    backoffDelay: ${DELIVERY.backoffDelay}
`,
  },
  'default-ch-webhook': {
    'default-ch-config': `clusterDefault:\n  apiVersion: ${CHANNEL.apiVersion}\n  kind: ${CHANNEL.kind}\n`,
  },
  'config-ping-defaults': {},
  'config-features': {},
  'config-sugar': {},
  'config-kreference-mapping': {},
  'config-br-default-channel': {
    'channel-template-spec': `apiVersion: ${CHANNEL.apiVersion}\nkind: ${CHANNEL.kind}\n`,
  },
  'config-observability': {},
};

/** What holds where no ConfigMap says otherwise. */
export const DEFAULT_EVENTING_CONFIG: Readonly<EventingConfig> = Object.assign(
  {},
  ...Object.values(PARSERS).map((parse) => parse({})),
);

/** `config` with what one ConfigMap says now. One that is gone (`data` undefined) counts as empty; one that cannot be used changes nothing. */
export function withEventingConfigMap(
  config: Readonly<EventingConfig>,
  name: string,
  data: ConfigData | undefined,
): EventingConfig {
  const parse = Object.hasOwn(PARSERS, name) ? PARSERS[name] : undefined;
  if (parse === undefined) return config;
  try {
    return { ...config, ...parse(data ?? {}) };
  } catch (error) {
    if (error instanceof ConfigMapError) return config;
    throw error;
  }
}

/** Why a ConfigMap of that name may not say this; undefined when it may, and for names that mean nothing. */
export function eventingConfigMapProblem(name: string, data: ConfigData): string | undefined {
  try {
    if (Object.hasOwn(PARSERS, name)) PARSERS[name]?.(data);
    return undefined;
  } catch (error) {
    if (error instanceof ConfigMapError) return error.message;
    throw error;
  }
}
