/** The trailer `grpc-message`: printable ASCII stays, `%` and everything else becomes `%XX` of its UTF-8 bytes. Source: gRPC over HTTP/2. */
export function grpcMessage(text: string): string {
  let out = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}
