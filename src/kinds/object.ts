/** The shapes every Kubernetes object shares. Source: k8s.io/apimachinery `meta/v1` types. */

/** Any value that JSON can carry. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A reference to the object that owns this one; deleting the owner deletes the dependent. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Standard object metadata. Timestamps are RFC 3339 strings with second precision. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  generateName?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
}

/** An object of any kind. Kinds narrow `spec` and `status` by extending this interface. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

/** An object about whose fields beyond metadata nothing is known; the boundary of untyped JSON. */
// biome-ignore lint/suspicious/noExplicitAny: the one place where an object's fields are unknown
export type UntypedObject = KubeObject & { [field: string]: any };

/** One observed aspect of an object. Source: `meta/v1.Condition` and Knative's `apis.Condition`. */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  /** Absent means the condition counts; `Info` never influences Ready (Knative). */
  severity?: 'Info' | 'Warning';
  lastTransitionTime?: string;
  observedGeneration?: number;
}

/** One problem with one field of an object; printed by clients as `field: message`. */
export interface FieldError {
  /** Path as kubectl shows it, for example `spec.containers[0].name`. */
  field: string;
  /** Status cause reason: `FieldValueRequired`, `FieldValueInvalid`, `FieldValueNotSupported`, `FieldValueForbidden`, `FieldValueDuplicate`, `FieldValueTooLong`. */
  reason: string;
  /** Upstream's text, for example `Required value: name or generateName is required`. */
  message: string;
}

/** What an API failure carries. Source: `meta/v1.Status`. */
export interface Status {
  apiVersion: 'v1';
  kind: 'Status';
  metadata: Record<string, never> | { continue?: string };
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  code?: number;
  details?: {
    name?: string;
    group?: string;
    kind?: string;
    uid?: string;
    retryAfterSeconds?: number;
    causes?: { reason?: string; message?: string; field?: string }[];
  };
}
