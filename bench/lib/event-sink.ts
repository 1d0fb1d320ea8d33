/**
 * A sink of events that does nothing, in a process of its own: prints its port, answers every request with 202 and tells over IPC, in groups,
 * when each arrived (`process.hrtime`, which all processes of a machine share).
 */
import { createServer } from 'node:net';

const ACCEPTED = Buffer.from('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
const END = Buffer.from('\r\n\r\n');
const arrivals: [id: string, at: string][] = [];

const server = createServer({ noDelay: true }, (socket) => {
  let rest: Buffer | undefined;
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    let bytes: Buffer = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    rest = undefined;
    while (bytes.length > 0) {
      const end = bytes.indexOf(END);
      const head = end < 0 ? '' : bytes.toString('latin1', 0, end);
      const total = end < 0 ? -1 : end + 4 + Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0);
      if (total < 0 || bytes.length < total) {
        rest = bytes;
        return;
      }
      bytes = bytes.subarray(total);
      const timed = /ce-id: (timed-\d+)/.exec(head)?.[1];
      if (timed !== undefined) arrivals.push([timed, String(process.hrtime.bigint())]);
      socket.write(ACCEPTED);
    }
  });
});
server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as { port: number }).port }));
process.on('message', () => process.send!({ arrivals: arrivals.splice(0) }));
process.on('disconnect', () => process.exit());
