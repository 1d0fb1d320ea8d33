/** A node for tests: gives every Pod of a runtime an instance that speaks the instance protocol on a real socket, as a script says. */
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { silentLogger } from '../../base/log.ts';
import { FUNCTION_LABELS } from '../../kinds/function.ts';
import type { Json } from '../../kinds/object.ts';
import { NODE_ANNOTATIONS, type Pod } from '../../kinds/pod.ts';
import type { KubeClient } from '../../kube/client.ts';
import { createInformer } from '../../kube/informer.ts';
import { PODS } from '../../kube/refs.ts';
import type { SpecialiseParams } from '../instance-channel.ts';
import { createFrameReader, encodeFrame, FRAME } from '../instance-frames.ts';

export interface FakeInstance {
  readonly uid: string;
  readonly name: string;
  state: 'generic' | 'specialised' | 'failed';
  /** The revision with whose code it was forked. */
  preloaded: string | undefined;
  specialised: SpecialiseParams[];
  /** Functions in its places, where its runtime shares. */
  leases: Map<number, SpecialiseParams>;
  drained: number;
  /** Answers nothing any more. */
  hung: boolean;
  /** Ends without a word, as after SIGKILL; the socket file stays, as it then does. */
  die(): void;
  /** What the node does some time after that. */
  restart(): void;
  /** Tells why before dying. */
  fail(message: string): void;
}

export interface FakeNode {
  /** By Pod uid. */
  readonly instances: Map<string, FakeInstance>;
  /** Pods that were seen, ever. */
  seen: number;
  /** Answers `specialise`: a result, an error thrown as `{code, message …}`, or nothing at all when it returns undefined. */
  specialise: (
    params: SpecialiseParams,
    instance: FakeInstance,
  ) => Json | undefined | Promise<Json | undefined>;
  /** Answers `preload`; a result without a problem makes it one that others are forked from. */
  preload: (params: SpecialiseParams, instance: FakeInstance) => Json | Promise<Json>;
  /** While true, Pods get no instance. */
  paused: boolean;
  /** Starts those that were held back. */
  resume(): void;
  close(): void;
}

export function startFakeNode(client: KubeClient, runDir: string): FakeNode {
  const instances = new Map<string, FakeInstance>();
  const held: Pod[] = [];
  /** Revisions by the Pod (uid) that has loaded their code. */
  const zygotes = new Map<string, string>();

  const start = (pod: Pod): void => {
    const uid = pod.metadata.uid as string;
    const role = pod.metadata.annotations?.[NODE_ANNOTATIONS.zygoteRole];
    const directory = join(runDir, 'pods', uid);
    mkdirSync(directory, { recursive: true });
    const sockets = new Set<Socket>();
    let server: Server | undefined;
    const instance: FakeInstance = {
      uid,
      name: pod.metadata.name,
      state: 'generic',
      preloaded: zygotes.get(/^child-of:(.*)$/.exec(role ?? '')?.[1] ?? ''),
      specialised: [],
      leases: new Map(),
      drained: 0,
      hung: false,
      die() {
        for (const socket of sockets) socket.destroy();
        server?.close();
      },
      restart() {
        instance.state = 'generic';
        instance.hung = false;
        rmSync(join(directory, 'i.sock'), { force: true });
        listen();
      },
      fail(message) {
        const event = JSON.stringify({ event: 'failed', reason: 'uncaughtException', message });
        for (const socket of sockets) socket.write(encodeFrame(FRAME.event, event));
        for (const socket of sockets) socket.end();
        server?.close();
      },
    };

    const answer = async (socket: Socket, payload: Buffer): Promise<void> => {
      const { id, method, params } = JSON.parse(payload.toString());
      const reply = (body: object) =>
        socket.write(encodeFrame(FRAME.result, JSON.stringify({ id, ...body })));
      if (method === 'drain') {
        instance.drained++;
        reply({ result: { left: 0 } });
        return;
      }
      if (method === 'leases') {
        const held = [...instance.leases].map(([slot, { namespace, revision }]) => ({
          slot,
          namespace,
          revision,
        }));
        reply({ result: { leases: held.map((one) => ({ ...one, transport: { kind: 'mux' } })) } });
        return;
      }
      if (method === 'release') {
        if (params.slot === undefined) instance.leases.clear();
        else instance.leases.delete(params.slot);
        reply({ result: {} });
        return;
      }
      if (method === 'lease') {
        instance.leases.set(params.slot, params);
        reply({ result: { shape: 'fetch', loadMs: 1, transport: { kind: 'mux' } } });
        return;
      }
      if (method === 'preload') {
        const result = await node.preload(params, instance);
        reply({ result });
        if ((result as { problem?: string }).problem !== undefined) return;
        zygotes.set(uid, params.revision);
        for (const each of sockets) each.end();
        server?.close();
        return;
      }
      instance.specialised.push(params);
      try {
        const result = await node.specialise(params, instance);
        if (result === undefined) return;
        instance.state = 'specialised';
        reply({ result });
      } catch (error) {
        instance.state = 'failed';
        reply({ error });
      }
    };

    const listen = () => {
      server = createServer((socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        socket.on('error', () => {});
        const read = createFrameReader((type, payload) => {
          if (instance.hung) return;
          if (type === FRAME.hello) {
            const hello = {
              version: 1,
              runtime: 'node',
              language: 'v0.0.0',
              pid: process.pid,
              state: instance.state,
              ...(instance.preloaded && { preloaded: instance.preloaded }),
            };
            socket.write(encodeFrame(FRAME.hello, JSON.stringify(hello)));
          } else if (type === FRAME.ping) socket.write(encodeFrame(FRAME.pong, payload));
          else if (type === FRAME.call) void answer(socket, payload);
        });
        socket.on('data', read);
      });
      server.listen(join(directory, 'i.sock'));
    };
    instances.set(uid, instance);
    listen();
  };

  const pods = createInformer<Pod>({
    client,
    resource: PODS,
    labelSelector: FUNCTION_LABELS.runtime,
    log: silentLogger,
  });
  pods.addHandler({
    add(pod) {
      node.seen++;
      if (node.paused) held.push(pod);
      else start(pod);
    },
    delete(pod) {
      const uid = pod.metadata.uid as string;
      instances.get(uid)?.die();
      instances.delete(uid);
      rmSync(join(runDir, 'pods', uid), { recursive: true, force: true });
    },
  });
  const node: FakeNode = {
    instances,
    seen: 0,
    paused: false,
    specialise: () => ({ shape: 'fetch', loadMs: 1, transport: { kind: 'mux' } }),
    preload: () => ({ loadMs: 100 }),
    resume() {
      node.paused = false;
      for (const pod of held.splice(0)) start(pod);
    },
    close() {
      pods.stop();
      for (const instance of instances.values()) instance.die();
    },
  };
  pods.start();
  return node;
}
