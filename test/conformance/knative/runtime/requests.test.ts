/** Knative's runtime contract, as its conformance suite sees it: requests on their way in, and what may not be asked of a container. */
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import type { Service } from '../../../../src/kinds/serving.ts';
import { KubeError } from '../../../../src/kube/client.ts';
import { suite } from '../cluster.ts';
import { runtimeInfo } from './runtime-info.ts';

/** RFC 9110 §5.6.2, and roughly a quoted string. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
const QUOTED = /^"[^"]*"$/;

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

/** Roughly the syntax of RFC 7239. */
function assertForwarded(text: string): void {
  for (const pair of text.split(/[;,]/).filter(Boolean)) {
    const [key = '', value = ''] = pair.trim().split('=');
    assert.match(key, TOKEN, text);
    if (value) assert.ok(TOKEN.test(value) || QUOTED.test(value), text);
  }
}

const message = { exec: { command: ['/bin/sh', '-c', 'echo Hello from the hook > /usr/share/message'] } };

/** What a template may not say: refused, or at least not kept. */
const CONSTRAINTS: { name: string; must: boolean; container: Record<string, unknown> }[] = [
  {
    name: 'TestMustNotContainerConstraints/TestArbitraryPortName',
    must: true,
    container: { ports: [{ name: 'arbitrary' }] },
  },
  {
    name: 'TestMustNotContainerConstraints/TestMountPropagation',
    must: true,
    container: {
      volumeMounts: [{ name: 'VolumeMount', mountPath: '/', mountPropagation: 'HostToContainer' }],
    },
  },
  {
    name: 'TestShouldNotContainerConstraints/TestPoststartHook',
    must: false,
    container: { lifecycle: { postStart: message } },
  },
  {
    name: 'TestShouldNotContainerConstraints/TestPrestopHook',
    must: false,
    container: { lifecycle: { preStop: message } },
  },
  {
    name: 'TestShouldNotContainerConstraints/TestMultiplePorts',
    must: true,
    container: { ports: [{ containerPort: 80 }, { containerPort: 81 }] },
  },
  {
    name: 'TestShouldNotContainerConstraints/TestHostPort',
    must: false,
    container: { ports: [{ hostPort: 80 }] },
  },
  { name: 'TestShouldNotContainerConstraints/TestStdin', must: false, container: { stdin: true } },
  { name: 'TestShouldNotContainerConstraints/TestStdinOnce', must: false, container: { stdinOnce: true } },
  { name: 'TestShouldNotContainerConstraints/TestTTY', must: false, container: { tty: true } },
  {
    name: 'TestShouldNotContainerConstraints/TestInvalidUID',
    must: true,
    container: { securityContext: { runAsUser: -10 } },
  },
];

await suite('Knative runtime contract: requests and constraints', 6, (cluster) => {
  for (const { name, must, container } of CONSTRAINTS) {
    test(name, async (t) => {
      let made: Service;
      try {
        made = await cluster.createService(t, 'runtime', { container });
      } catch (error) {
        assert.ok(error instanceof KubeError && error.code === 400, String(error));
        return;
      }
      assert.ok(!must, 'it was accepted');
      const kept = { ...made.spec.template.spec.containers[0] } as Record<string, unknown>;
      for (const key of Object.keys(container))
        assert.notDeepEqual(kept[key], container[key], `${key} is not kept`);
    });
  }

  test('TestMustHaveHeadersSet', async (t) => {
    const { request } = await runtimeInfo(cluster, t);
    assert.ok(request.host, 'Host');
    assert.ok(request.headers.Forwarded, 'Forwarded');
    for (const text of request.headers.Forwarded) assertForwarded(text);
  });

  test('TestShouldHaveHeadersSet', async (t) => {
    const { headers } = (
      await runtimeInfo(cluster, t, {}, { 'This-Was-User-Set': 'a value', traceparent: TRACEPARENT })
    ).request;
    assert.deepEqual(headers['This-Was-User-Set'], ['a value']);
    assert.match(headers['X-Forwarded-Proto']?.[0] ?? '', /^https?$/);
    for (const address of headers['X-Forwarded-For']?.join(',').split(',') ?? [''])
      assert.notEqual(isIP(address.trim()), 0, address);
    // The trace goes on; a part of it may be told of a span in between.
    assert.match(
      headers.Traceparent?.[0] ?? '',
      /^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-[0-9a-f]{2}$/,
    );
  });

  const PROTOCOLS = [
    {
      name: 'h2c',
      ports: [{ name: 'h2c' }],
      version: [2, 0],
    },
    { name: 'http1', ports: [{ name: 'http1' }], version: [1, 1] },
    { name: 'default', ports: undefined, version: [1, 1] },
  ];
  for (const { name, ports, version } of PROTOCOLS) {
    test(`TestProtocols/${name}`, async (t) => {
      const { request } = await runtimeInfo(cluster, t, { container: ports ? { ports } : {} });
      assert.deepEqual([request.protoMajor, request.protoMinor], version);
    });
  }
});
