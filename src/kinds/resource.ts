/**
 * What the API server has to know of one resource. Every resource, built-in or ours, is one row of this
 * shape in the registry (`registry.ts`); there is no handler file per kind.
 */
import type { EventingConfig } from './config/eventing.ts';
import type { ServingConfig } from './config/index.ts';
import type { FieldError, UntypedObject } from './object.ts';

/** One printed column of a Table. `jsonPath` columns are evaluated generically; `value` columns are code. */
export interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'date' | 'boolean';
  format?: string;
  description?: string;
  /** 0 is always shown; above 0 only with `-o wide`. */
  priority: number;
  jsonPath?: string;
  value?: (object: UntypedObject, now: number) => string | number | boolean;
}

/** What a write may depend on besides the object: who asks, where known, and what Knative's ConfigMaps say now. */
export interface AdmissionContext {
  user?: string;
  config: Readonly<ServingConfig>;
  /** What the ConfigMaps of Knative Eventing say now; nothing of it is read before a kind asks. */
  eventing?: () => Readonly<EventingConfig>;
}

/** The behaviour of one kind that data cannot express. Every function is pure: time comes in as a parameter. */
export interface ResourceStrategy {
  /** Fill defaults in place; called on create, update and patch after decoding. */
  setDefaults?(object: UntypedObject, old: UntypedObject | undefined, context: AdmissionContext): void;
  /** Problems that refuse a create. */
  validate?(object: UntypedObject): FieldError[];
  /** Problems that refuse an update (immutable fields); called in addition to `validate`. */
  validateUpdate?(object: UntypedObject, old: UntypedObject): FieldError[];
  /**
   * The whole message of a refusal in the form of an admission webhook, answered as 400 BadRequest; Knative's clients
   * expect its validation so. Called on create (without `old`), update and patch after `setDefaults`, not for `/status`.
   */
  deny?(object: UntypedObject, old: UntypedObject | undefined, context: AdmissionContext): string | undefined;
  /** What the client should know of an object that is accepted all the same; sent as `Warning` headers. */
  warn?(object: UntypedObject, old: UntypedObject | undefined, context: AdmissionContext): string[];
  /** Initial status fields at creation (for example a Pod's `status.phase: Pending`). */
  prepareForCreate?(object: UntypedObject): void;
}

/** One resource as discovery, routing, storage, printing and validation see it. */
export interface ResourceDefinition {
  /** Empty string for the core group. */
  group: string;
  version: string;
  kind: string;
  /** Lower-case plural, the path segment. */
  plural: string;
  singular: string;
  shortNames: string[];
  categories: string[];
  namespaced: boolean;
  /** `status` and others that the server serves, for example `log` on pods. */
  subresources: string[];
  /** Full message name in the type table, for example `io.k8s.api.core.v1.Pod`. */
  type: string;
  columns: PrinterColumn[];
  /** Field selector label → getter, beyond `metadata.name` and `metadata.namespace`, which all have. */
  selectableFields: Record<string, (object: UntypedObject) => string>;
  /** False where a spec change does not bump `metadata.generation` (ConfigMap, Secret, Event …). */
  hasGeneration: boolean;
  strategy: ResourceStrategy;
  /** Of a version that is served but not stored: the stored one. Absent where they are the same. */
  storedAs?: StoredVersion;
}

/** How a served version becomes the stored one and back, in place; `apiVersion` is the server's. Strategies see the stored form only. */
export interface StoredVersion {
  version: string;
  toStored(object: UntypedObject): void;
  fromStored(object: UntypedObject): void;
}
