/**
 * One HTTP-shaped exchange with a Kubernetes API, wherever it is: over HTTPS (kubeconfig, in-cluster) or by a direct
 * call into the embedded API server. Feature code never sees which.
 */

export interface KubeRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, for example `/api/v1/pods?watch=true`. */
  path: string;
  /** Lower-case names. */
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Ends the exchange, also in the middle of a stream. */
  signal?: AbortSignal;
}

export interface KubeResponse {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  /** The body as it arrives; a watch yields as events happen. */
  body: AsyncIterable<Uint8Array>;
}

export interface KubeTransport {
  /** Rejects only when there was no HTTP answer at all. */
  request(request: KubeRequest): Promise<KubeResponse>;
  close(): void;
}
