/** gRPC from the client to a program in a container and back: by the port's name, and by finding out what the port speaks. */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect } from 'node:http2';
import { after, before, test } from 'node:test';
import { conditionOf } from '../../src/kinds/conditions.ts';
import type { KubeObject } from '../../src/kinds/object.ts';
import type { Service } from '../../src/kinds/serving.ts';
import { KSERVICES } from '../../src/kube/refs.ts';
import { eventually, Petrel, ROOT, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;
let session: ClientHttp2Session;

before(async () => {
  platform = await petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
    env: { PETREL_IMAGES: `${ROOT}test/images` },
  });
  api = await petrel.api();
  session = connect(`http://${platform.gateway}`);
  session.on('error', () => {});
});
after(async () => {
  session?.destroy();
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

/** A message of `ping.PingService`: field 1 is a text. */
function message(text: string): Buffer {
  const field = Buffer.concat([Buffer.from([0x0a, text.length]), Buffer.from(text)]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(field.length, 1);
  return Buffer.concat([prefix, field]);
}

interface Reply {
  status: string;
  text: string;
}

function ping(host: string, method: string, texts: string[]): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/ping.PingService/${method}`,
      ':authority': host,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status = '';
    const chunks: Buffer[] = [];
    const note = (headers: Record<string, unknown>) => {
      status ||= String(headers['grpc-status'] ?? '');
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => resolve({ status, text: Buffer.concat(chunks).toString('latin1') }));
    for (const text of texts) stream.write(message(text));
    stream.end();
  });
}

for (const [name, ports] of [
  ['named', [{ name: 'h2c', containerPort: 8080 }]],
  ['found-out', undefined],
] as const) {
  test(`a gRPC service starts with its first call, and streams (port ${name})`, async () => {
    const container = { image: 'dev.local/grpc-ping', ...(ports === undefined ? {} : { ports }) };
    const annotations = { 'autoscaling.knative.dev/initial-scale': '0' };
    await api.create<KubeObject>(KSERVICES, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: { template: { metadata: { annotations }, spec: { containers: [container] } } },
    } as KubeObject);
    const service = await eventually('the service', async () => {
      const found = await api.get<Service>(KSERVICES, 'default', name);
      return conditionOf(found, 'Ready')?.status === 'True' && found;
    });
    const host = new URL(service.status!.url!).hostname;
    const one = await ping(host, 'Ping', ['hello']);
    assert.deepEqual(one, { status: '0', text: message('hello').toString('latin1') });
    const texts = Array.from({ length: 50 }, (_, i) => `m${i}`);
    const many = await ping(host, 'PingStream', texts);
    assert.equal(many.status, '0');
    assert.equal(many.text, Buffer.concat(texts.map(message)).toString('latin1'));
    assert.equal((await ping(host, 'Nothing', ['x'])).status, '12');
  });
}
