/** How failures are told to gRPC clients: the status and the message are trailers, the HTTP status is always 200. */
import type { Failure, FailureReason } from '../failures.ts';

/** Status codes of gRPC that the gateway uses. */
const GRPC = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
  permissionDenied: 7,
} as const;

/** By reason, where the reason says more than its HTTP status. */
const BY_REASON: Partial<Record<FailureReason, number>> = {
  bad_request: GRPC.internal,
  body_too_large: GRPC.resourceExhausted,
  head_too_large: GRPC.resourceExhausted,
  uri_too_long: GRPC.resourceExhausted,
  rate_limited: GRPC.resourceExhausted,
  queue_full: GRPC.resourceExhausted,
  overloaded: GRPC.resourceExhausted,
  timeout: GRPC.deadlineExceeded,
  response_start_timeout: GRPC.deadlineExceeded,
  idle_timeout: GRPC.deadlineExceeded,
  upstream_protocol: GRPC.internal,
  no_route: GRPC.unimplemented,
};

/** By HTTP status, as gRPC's own mapping has it; what is missing is UNKNOWN. */
const BY_STATUS: Record<number, number> = {
  400: GRPC.internal,
  401: GRPC.unauthenticated,
  403: GRPC.permissionDenied,
  404: GRPC.unimplemented,
  429: GRPC.unavailable,
  502: GRPC.unavailable,
  503: GRPC.unavailable,
  504: GRPC.deadlineExceeded,
};

export function grpcStatus(f: Failure): number {
  return BY_REASON[f.reason as FailureReason] ?? BY_STATUS[f.status] ?? GRPC.unknown;
}

/** Printable ASCII stays, `%` and everything else becomes `%XX` of its UTF-8 bytes. */
export function grpcMessage(text: string): string {
  let out = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** The trailers that tell of a failure. */
export function grpcTrailers(f: Failure): Record<string, string> {
  const message = `${f.message || f.reason} (${f.component}: ${f.reason})`;
  return { 'grpc-status': String(grpcStatus(f)), 'grpc-message': grpcMessage(message) };
}
