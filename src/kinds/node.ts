/** What nodes of Petrel say about themselves, beside what Kubernetes knows of every node. */

/**
 * Label of a Node with an agent of our own, which can also update Pods in place. `host`: its Pods share the machine's network, so
 * each needs ports of its own, and reaches the others at 127.0.0.1. Any other value: every Pod has an address of its own.
 */
export const POD_NETWORK_LABEL = 'petrel.dev/pod-network';

/** Label of a Node: what fails together. Source: https://kubernetes.io/docs/reference/labels-annotations-taints/ */
export const ZONE_LABEL = 'topology.kubernetes.io/zone';
