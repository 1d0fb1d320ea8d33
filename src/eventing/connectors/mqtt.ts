/**
 * How sources and sinks reach an MQTT broker, versions 5 and 3.1.1 over TCP and TLS. A client of our own on a library that only reads and writes packets:
 * a source acknowledges when an event is safe, many at once and in the order they came, which clients on npm do not let it.
 * Source: "MQTT Version 5.0", OASIS; 4.3 (quality of service), 4.4 (delivery retry), 4.6 (order).
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock, Timer } from '../../base/clock.ts';
import type { IConnackPacket, IPublishPacket, ISubackPacket, Packet } from '../../clients/mqtt/index.ts';
import type { Fields, Read } from './fields.ts';
import { onCut } from './leave.ts';
import { TLS_FIELDS, tlsOptions } from './tls.ts';

export const MQTT_FIELDS = {
  address: {
    is: 'text',
    required: true,
    form: /^[^@\s/]+:\d+$/,
    formHint: 'must be host:port',
    what: 'the broker, `host:port`',
  },
  version: { is: 'choice', of: ['5', '3.1.1'], default: '5', what: 'the version of the protocol' },
  username: { is: 'text', what: 'the user’s name' },
  password: { is: 'text', what: 'the user’s password' },
  tls: { is: 'group', what: 'TLS; absent: none', fields: TLS_FIELDS },
} as const satisfies Fields;

type Client = typeof import('../../clients/mqtt/index.ts');
export type MqttVersion = 4 | 5;

export const versionOf = (config: Read<typeof MQTT_FIELDS>): MqttVersion => (config.version === '5' ? 5 : 4);
export const mqttName = (config: Read<typeof MQTT_FIELDS>): string => `MQTT at ${config.address}`;

export interface MqttOptions {
  clientId: string;
  /** The broker keeps the session, with what it has not delivered, for this long after the connection is gone, seconds; 0: no session. */
  sessionSeconds: number;
  /** Messages of QoS 1 and 2 that the broker sends ahead of our acknowledgements. */
  receiveMaximum?: number;
  /** Message ids of QoS 2 that were accepted and not released; outlives a connection, as the session does. */
  accepted?: Set<number>;
  clock: Clock;
  /** Ends the connection when it aborts, whatever the broker does. */
  cut?: AbortSignal;
  /** Resolves when the message is safe; the acknowledgement follows. A rejection leaves it with the broker. */
  onMessage?(packet: IPublishPacket): Promise<void>;
}

export interface MqttConnection {
  subscribe(topics: readonly string[], qos: 0 | 1 | 2): Promise<void>;
  /** Resolves when the broker has taken it: at once for QoS 0. */
  publish(packet: Omit<IPublishPacket, 'cmd' | 'dup' | 'messageId'>): Promise<void>;
  /** Rejects when the connection is lost; it does not come back by itself. */
  readonly lost: Promise<never>;
  /** Resolves when the broker has been told. */
  close(): Promise<void>;
}

const CONNECT_MS = 5000;
const KEEPALIVE_S = 20;
/** Version 3.1.1 cannot say how many messages a broker takes at once; Mosquitto ends the connection beyond 20. */
const WINDOW_311 = 20;

/** Connects. @throws with the broker's reason when it refuses. */
export async function connectMqtt(
  client: Client,
  config: Read<typeof MQTT_FIELDS>,
  options: MqttOptions,
): Promise<MqttConnection> {
  options.cut?.throwIfAborted();
  const version = versionOf(config);
  const at = config.address.lastIndexOf(':');
  const where = { host: config.address.slice(0, at), port: Number(config.address.slice(at + 1)) };
  const tls = tlsOptions(config.tls);
  const socket =
    tls === undefined
      ? connectTcp(where)
      : connectTls({ ...(isIP(where.host) === 0 ? { servername: where.host } : {}), ...where, ...tls });
  onCut(options.cut, () => socket.destroy());
  const connection = new Connection(client, socket, version, options);
  const limit = options.clock.after(CONNECT_MS, () =>
    socket.destroy(new Error('the broker does not answer')),
  );
  try {
    await connection.open(config);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    limit.cancel();
  }
  return connection;
}

interface Waiting {
  done(packet: Packet): void;
  failed(error: unknown): void;
}

class Connection implements MqttConnection {
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #version: MqttVersion;
  readonly #options: MqttOptions;
  readonly lost: Promise<never>;
  #fail: (error: unknown) => void = () => {};
  #connack: ((packet: IConnackPacket) => void) | undefined;
  /** What we have sent and the broker has not answered, by message id. */
  readonly #waiting = new Map<number, Waiting>();
  /** What the broker has sent and we have not answered, in the order it came. */
  readonly #unanswered: { packet: Packet; ready: boolean }[] = [];
  #nextId = 0;
  #window = 65_535;
  readonly #blocked: (() => void)[] = [];
  #heard = 0;
  #beat: Timer | undefined;

  constructor(client: Client, socket: Socket, version: MqttVersion, options: MqttOptions) {
    this.#client = client;
    this.#socket = socket;
    this.#version = version;
    this.#options = options;
    this.lost = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.lost.catch((error) => {
      for (const { failed } of this.#waiting.values()) failed(error);
      this.#waiting.clear();
      for (const wake of this.#blocked.splice(0)) wake();
      this.#beat?.cancel();
    });
    const parser = client.parser({ protocolVersion: version });
    parser.on('packet', (packet) => this.#receive(packet));
    parser.on('error', (error) => socket.destroy(error));
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      this.#heard = options.clock.monotonic();
      parser.parse(bytes as Buffer);
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  async open({ username, password }: { username?: string; password?: string }): Promise<void> {
    const { clientId, sessionSeconds, receiveMaximum, clock } = this.#options;
    const answer = new Promise<IConnackPacket>((resolve) => {
      this.#connack = resolve;
    });
    this.#send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.#version,
      clientId,
      clean: sessionSeconds === 0,
      keepalive: KEEPALIVE_S,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: Buffer.from(password) }),
      ...(this.#version === 5
        ? {
            properties: {
              ...(sessionSeconds === 0 ? {} : { sessionExpiryInterval: sessionSeconds }),
              ...(receiveMaximum === undefined ? {} : { receiveMaximum }),
            },
          }
        : {}),
    });
    const connack = await Promise.race([answer, this.lost]);
    const code = connack.reasonCode ?? connack.returnCode ?? 0;
    if (code !== 0) throw new Error(refusal(code, connack.properties?.reasonString));
    if (!connack.sessionPresent) this.#options.accepted?.clear();
    this.#window = connack.properties?.receiveMaximum ?? (this.#version === 5 ? 65_535 : WINDOW_311);
    const interval = ((connack.properties?.serverKeepAlive ?? KEEPALIVE_S) * 1000) / 2;
    this.#heard = clock.monotonic();
    const beat = () => {
      if (clock.monotonic() - this.#heard > interval * 3) {
        this.#socket.destroy(new Error('the broker is silent'));
        return;
      }
      this.#send({ cmd: 'pingreq' });
      this.#beat = clock.after(interval, beat);
    };
    this.#beat = clock.after(interval, beat);
  }

  async subscribe(topics: readonly string[], qos: 0 | 1 | 2): Promise<void> {
    const suback = (await this.#ask({
      cmd: 'subscribe',
      subscriptions: topics.map((topic) => ({ topic, qos, nl: false, rap: true, rh: 0 })),
    })) as ISubackPacket;
    const refused = suback.granted.findIndex((code) => typeof code === 'number' && code >= 0x80);
    if (refused >= 0)
      throw new Error(
        `the subscription of ${topics[refused]} was refused: ${refusal(Number(suback.granted[refused]))}`,
      );
  }

  async publish(packet: Omit<IPublishPacket, 'cmd' | 'dup' | 'messageId'>): Promise<void> {
    const publish: IPublishPacket = { ...packet, cmd: 'publish', dup: false };
    if (packet.qos === 0) return this.#send(publish);
    while (this.#waiting.size >= this.#window && !this.#socket.destroyed)
      await new Promise<void>((resolve) => this.#blocked.push(resolve));
    const answer = await this.#ask(publish);
    const code = 'reasonCode' in answer ? (answer.reasonCode ?? 0) : 0;
    if (code >= 0x80) throw new Error(`the broker refused the message: ${refusal(code)}`);
  }

  close(): Promise<void> {
    this.#fail(new Error('closed'));
    if (this.#socket.closed) return Promise.resolve();
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    if (!this.#socket.destroyed) {
      this.#send({ cmd: 'disconnect', ...(this.#version === 5 ? { reasonCode: 0 } : {}) });
      this.#socket.end();
    }
    this.#socket.destroySoon();
    return closed;
  }

  #send(packet: Packet): void {
    if (!this.#socket.destroyed)
      this.#socket.write(this.#client.generate(packet, { protocolVersion: this.#version }));
  }

  /** Sends what is answered by a packet with the same id. */
  #ask(packet: Packet): Promise<Packet> {
    do this.#nextId = (this.#nextId % 65_535) + 1;
    while (this.#waiting.has(this.#nextId));
    const messageId = this.#nextId;
    return new Promise((done, failed) => {
      if (this.#socket.destroyed) return failed(new Error('the connection was closed'));
      this.#waiting.set(messageId, { done, failed });
      this.#send({ ...packet, messageId });
    });
  }

  #answered(packet: Packet): void {
    const id = packet.messageId ?? 0;
    this.#waiting.get(id)?.done(packet);
    this.#waiting.delete(id);
    this.#blocked.shift()?.();
  }

  #receive(packet: Packet): void {
    const { messageId } = packet;
    switch (packet.cmd) {
      case 'connack':
        this.#connack?.(packet);
        break;
      case 'publish':
        this.#taken(packet);
        break;
      case 'pubrec':
        if ((packet.reasonCode ?? 0) >= 0x80) this.#answered(packet);
        else this.#send({ cmd: 'pubrel', messageId });
        break;
      case 'pubrel':
        this.#options.accepted?.delete(messageId ?? 0);
        this.#send({ cmd: 'pubcomp', messageId });
        break;
      case 'puback':
      case 'pubcomp':
      case 'suback':
        this.#answered(packet);
        break;
      case 'disconnect': {
        const why = refusal(packet.reasonCode ?? 0, packet.properties?.reasonString);
        this.#socket.destroy(new Error(`the broker ended the connection: ${why}`));
        break;
      }
    }
  }

  #taken(packet: IPublishPacket): void {
    const { qos, messageId = 0 } = packet;
    const { accepted, onMessage = async () => {} } = this.#options;
    if (qos === 0) {
      onMessage(packet).catch(() => {});
      return;
    }
    if (qos === 2 && accepted?.has(messageId)) {
      this.#send({ cmd: 'pubrec', messageId });
      return;
    }
    const answer = { packet: { cmd: qos === 1 ? 'puback' : 'pubrec', messageId } as Packet, ready: false };
    this.#unanswered.push(answer);
    onMessage(packet).then(
      () => {
        if (qos === 2) accepted?.add(messageId);
        answer.ready = true;
        while (this.#unanswered[0]?.ready) this.#send(this.#unanswered.shift()?.packet as Packet);
      },
      () => {},
    );
  }
}

/** The reasons that tell something, of both versions. */
const REFUSALS: Readonly<Record<number, string>> = {
  1: 'the broker does not speak this version of the protocol',
  2: 'the client identifier was refused',
  3: 'the broker is not available',
  4: 'bad user name or password',
  5: 'not authorized',
  132: 'the broker does not speak this version of the protocol',
  133: 'the client identifier was refused',
  134: 'bad user name or password',
  135: 'not authorized',
  142: 'another client uses the same identifier',
  143: 'the topic filter is not valid',
  151: 'the quota is exceeded',
  158: 'the broker has no shared subscriptions',
};

const refusal = (code: number, said?: string): string =>
  said ?? REFUSALS[code] ?? `reason 0x${code.toString(16).padStart(2, '0')}`;
