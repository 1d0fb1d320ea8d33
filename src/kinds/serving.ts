/** Knative Serving v1. Source: knative.dev/serving pkg/apis/serving/v1. */
import type { Condition, KubeObject } from './object.ts';
import type { PodSpec } from './pod.ts';

export const SERVING_GROUP = 'serving.knative.dev';

export interface TrafficTarget {
  tag?: string;
  revisionName?: string;
  configurationName?: string;
  latestRevision?: boolean;
  percent?: number;
  url?: string;
}
/** A PodSpec plus what request-driven serving adds. Times in seconds. */
export interface RevisionSpec extends PodSpec {
  containerConcurrency?: number;
  timeoutSeconds?: number;
  responseStartTimeoutSeconds?: number;
  idleTimeoutSeconds?: number;
}
export interface RevisionTemplate {
  metadata?: { name?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  spec: RevisionSpec;
}
/** What the status of every Knative object has. */
export interface DuckStatus {
  observedGeneration?: number;
  conditions?: Condition[];
  annotations?: Record<string, string>;
}
export interface Service extends KubeObject {
  spec: { template: RevisionTemplate; traffic?: TrafficTarget[] };
  status?: DuckStatus & {
    latestReadyRevisionName?: string;
    latestCreatedRevisionName?: string;
    url?: string;
    address?: { url?: string };
    traffic?: TrafficTarget[];
  };
}
export interface Configuration extends KubeObject {
  spec: { template: RevisionTemplate };
  status?: DuckStatus & { latestReadyRevisionName?: string; latestCreatedRevisionName?: string };
}
export interface Revision extends KubeObject {
  spec: RevisionSpec;
  status?: DuckStatus & {
    containerStatuses?: { name: string; imageDigest?: string }[];
    initContainerStatuses?: { name: string; imageDigest?: string }[];
    actualReplicas?: number;
    desiredReplicas?: number;
  };
}
export interface Route extends KubeObject {
  spec: { traffic?: TrafficTarget[] };
  status?: DuckStatus & { url?: string; address?: { url?: string }; traffic?: TrafficTarget[] };
}
