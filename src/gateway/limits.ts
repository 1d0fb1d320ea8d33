/** Bounds on what a stranger can make the gateway hold or wait for. */

export interface GatewayLimits {
  /** Request line and header fields together, bytes; more is 431. */
  maxHeadBytes: number;
  /** Header fields of one request; more is 431. */
  maxHeaders: number;
  /** Bytes of the request target; more is 414. */
  maxUriBytes: number;
  /** From the first byte of a request head to its last, and from accept to the first byte, milliseconds; then 408. */
  headTimeoutMs: number;
  /** A kept-alive connection without a request, milliseconds. */
  keepAliveMs: number;
  /** Client connections of one worker; further ones are closed at once. */
  maxConnections: number;
  /** Bytes of a following request that are read while the one before it is still being answered. */
  maxPipelinedBytes: number;
  /** Rest of an unwanted request body that is read to keep the connection, bytes; beyond it the connection closes. */
  maxDiscardBytes: number;
  /** HTTP/2: requests of one connection at once. */
  maxStreams: number;
  /** HTTP/2: bytes of one request's body that may be on their way before they are asked for. */
  streamWindowBytes: number;
  /** HTTP/2: what Node may hold for one connection, MiB. */
  maxSessionMiB: number;
  /** HTTP/2: bytes of answers that one connection may leave untaken before its further requests are refused. */
  maxUnsentBytes: number;
  /** HTTP/2: PING and SETTINGS frames of one connection without an answer between them; then it ends. */
  maxIdleFrames: number;
  /** HTTP/2: streams a client may reset at once, and per second in the long run; then its connection ends. */
  resetBurst: number;
  resetsPerSecond: number;
  /** How long to wait for an instance to accept a connection, milliseconds. */
  connectTimeoutMs: number;
  /** After a request timed out, how long its instance has to answer a PING before it is given up, milliseconds. */
  pongTimeoutMs: number;
  /** An unused HTTP/1.1 connection to an instance is closed after this, milliseconds (below Node's own 5 s). */
  upstreamIdleMs: number;
}

export const DEFAULT_LIMITS: GatewayLimits = {
  maxHeadBytes: 32 * 1024,
  maxHeaders: 128,
  maxUriBytes: 16 * 1024,
  headTimeoutMs: 10_000,
  keepAliveMs: 75_000,
  maxConnections: 20_000,
  maxPipelinedBytes: 64 * 1024,
  maxDiscardBytes: 256 * 1024,
  maxStreams: 128,
  streamWindowBytes: 128 * 1024,
  maxSessionMiB: 16,
  maxUnsentBytes: 4 * 1024 * 1024,
  maxIdleFrames: 1000,
  resetBurst: 500,
  resetsPerSecond: 50,
  connectTimeoutMs: 5_000,
  pongTimeoutMs: 250,
  upstreamIdleMs: 4_000,
};
