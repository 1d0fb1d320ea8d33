/** How a call ends. Source: gRPC's status codes. */

/** Codes of gRPC that are answered here. */
export const GRPC = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

export type GrpcCode = (typeof GRPC)[keyof typeof GRPC];

/** A call that ends with a status other than OK. */
export class GrpcError extends Error {
  readonly code: GrpcCode;
  constructor(code: GrpcCode, message: string) {
    super(message);
    this.name = 'GrpcError';
    this.code = code;
  }
}
