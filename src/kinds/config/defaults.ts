/** `config-defaults`: what a Revision gets that says nothing. Source: knative.dev/serving `pkg/apis/config/defaults.go`. */
import type { Template } from '../go-template.ts';
import {
  bool,
  type ConfigData,
  ConfigMapError,
  field,
  int64,
  quantity,
  readFields,
  requireAll,
  template,
} from './read.ts';

/** Times in seconds. */
export interface DefaultsConfig {
  timeoutSeconds: number;
  maxTimeoutSeconds: number;
  /** 0: none. */
  responseStartTimeoutSeconds: number;
  /** 0: none. */
  idleTimeoutSeconds: number;
  containerConcurrency: number;
  maxContainerConcurrency: number;
  allowContainerConcurrencyZero: boolean;
  /** Undefined: left to Kubernetes. */
  enableServiceLinks: boolean | undefined;
  /** Of the parent's `Name`, `Namespace`, `Labels`, `Annotations`. */
  containerName: Template;
  initContainerName: Template;
  /** Resource → quantity; only those that are set. */
  requests: Record<string, string>;
  limits: Record<string, string>;
}

/** Absent counts as `false`; a word that is neither as a wish to leave it alone. */
const triState = (raw: string): boolean | undefined =>
  ({ true: true, false: false })[raw.toLowerCase()] as boolean | undefined;

const FIELDS = {
  initContainerName: field(template, template('init-container'), 'init-container-name-template'),
  containerName: field(template, template('user-container'), 'container-name-template'),
  allowContainerConcurrencyZero: field(bool, true, 'allow-container-concurrency-zero'),
  enableServiceLinks: field(triState, false, 'enable-service-links'),
  timeoutSeconds: field(int64, 300, 'revision-timeout-seconds'),
  maxTimeoutSeconds: field(int64, 600, 'max-revision-timeout-seconds'),
  idleTimeoutSeconds: field(int64, 0, 'revision-idle-timeout-seconds'),
  containerConcurrency: field(int64, 0, 'container-concurrency'),
  maxContainerConcurrency: field(int64, 1000, 'container-concurrency-max-limit'),
};

const RESOURCES = ['cpu', 'memory', 'ephemeral-storage'];
const resourceFields = (bound: 'request' | 'limit') =>
  Object.fromEntries(
    RESOURCES.map((name) => [
      name,
      field<string | undefined>(quantity, undefined, `revision-${name}-${bound}`),
    ]),
  );
const REQUESTS = resourceFields('request');
const LIMITS = resourceFields('limit');
const given = (values: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])));

/** Throws `ConfigMapError`. */
export function parseConfigDefaults(data: ConfigData = {}): DefaultsConfig {
  const c = readFields(FIELDS, data);
  const requests = given(readFields(REQUESTS, data));
  const limits = given(readFields(LIMITS, data));
  const { responseStart } = readFields(
    { responseStart: field(int64, c.timeoutSeconds, 'revision-response-start-timeout-seconds') },
    data,
  );
  const { timeoutSeconds: timeout, idleTimeoutSeconds: idle, maxContainerConcurrency: max } = c;
  requireAll(
    [
      timeout <= c.maxTimeoutSeconds,
      () =>
        `revision-timeout-seconds (${timeout}) cannot be greater than max-revision-timeout-seconds (${c.maxTimeoutSeconds})`,
    ],
    [
      responseStart <= 0 || responseStart <= timeout,
      () =>
        `revision-response-start-timeout-seconds (${responseStart}) cannot be greater than revision-timeout-seconds (${timeout})`,
    ],
    [
      idle <= 0 || idle <= timeout,
      () =>
        `revision-idle-timeout-seconds (${idle}) cannot be greater than revision-timeout-seconds (${timeout})`,
    ],
    [max >= 1, () => `expected 1 <= ${max} <= 2147483647: container-concurrency-max-limit`],
    [
      c.containerConcurrency >= 0 && c.containerConcurrency <= max,
      () => `expected 0 <= ${c.containerConcurrency} <= ${max}: container-concurrency`,
    ],
  );
  for (const apply of [c.containerName, c.initContainerName]) {
    try {
      apply({ Name: '', Namespace: '', Labels: undefined, Annotations: undefined });
    } catch (error) {
      throw new ConfigMapError(`error executing template: ${(error as Error).message}`);
    }
  }
  return {
    ...c,
    responseStartTimeoutSeconds: responseStart,
    requests,
    limits,
  };
}
