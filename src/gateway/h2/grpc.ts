/** How failures are told to gRPC clients: the status and the message are trailers, the HTTP status is always 200. */
import { grpcMessage } from '../../base/grpc-message.ts';
import type { Failure, FailureReason } from '../failures.ts';
import { fieldValue, needle } from '../policy/lines.ts';

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
  async_unavailable: GRPC.unimplemented,
  loop_detected: GRPC.resourceExhausted,
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

function grpcStatus(f: Failure): number {
  return BY_REASON[f.reason as FailureReason] ?? BY_STATUS[f.status] ?? GRPC.unknown;
}

/** What counts answers counts gRPC's by the HTTP status that means the same, index by code; the instance's faults are 5xx. */
const COUNTED_AS = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
const STATUS = needle('grpc-status');

/** The status that an answer counts as by its `grpc-status` in `lines`; `status` when there is none. */
export function grpcCountedAs(lines: Buffer, status: number): number {
  const code = fieldValue(lines, STATUS);
  return code === null || !/^\d{1,2}$/.test(code) ? status : (COUNTED_AS[Number(code)] ?? 500);
}

/** The trailers that tell of a failure. */
export function grpcTrailers(f: Failure): Record<string, string> {
  const message = `${f.message || f.reason} (${f.component}: ${f.reason})`;
  return { 'grpc-status': String(grpcStatus(f)), 'grpc-message': grpcMessage(message) };
}
