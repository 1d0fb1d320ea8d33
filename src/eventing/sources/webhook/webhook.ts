/** Webhooks: requests of others to `/events/source/<namespace>/<name>` as events. Accepted means on disk. */
import { InvalidEvent, type NewEvent, newEvent } from '../../../cloudevents/event.ts';
import { forbidden, invalid, notSupported, required } from '../../../kinds/field.ts';
import type { FieldError, Json } from '../../../kinds/object.ts';
import type { SourceAnswer, SourceContext, SourceModule, SourceRequest } from '../contract.ts';
import { PROVIDERS, type Provider, type ProviderName } from './providers.ts';
import type { Doubt, Signing } from './signatures.ts';

export interface WebhookConfig {
  /** Default `generic`. */
  provider?: ProviderName;
  /** What requests are signed with; several while one is being replaced. */
  secret?: string | string[];
  /** Anybody may send: only without a secret, and only where it is said. */
  unsigned?: boolean;
  /** Of `generic`: default `x-signature`, `sha256`, `hex`, no prefix. */
  header?: string;
  algorithm?: Signing['algorithm'];
  encoding?: Signing['encoding'];
  prefix?: string;
  /** Attributes of events where the request says nothing better. Default `dev.petrel.webhook`. */
  type?: string;
  source?: string;
  /** A request with the same value of this header is the same event. */
  idHeader?: string;
}

const ALGORITHMS = ['sha1', 'sha256', 'sha512'] as const;
const ENCODINGS = ['hex', 'base64'] as const;
/** How long a sender is kept waiting while an event cannot be written, ms. */
const PATIENCE_MS = 10_000;

const DOUBTS: Record<Exclude<Doubt, undefined>, string> = {
  missing: 'The request is not signed.',
  wrong: 'The signature does not fit the body and the secret of this source.',
  late: 'The request was signed more than five minutes ago, or the clocks differ.',
};

const secretsOf = ({ secret }: Pick<WebhookConfig, 'secret'>): string[] =>
  secret === undefined ? [] : Array.isArray(secret) ? secret : [secret];

function check(config: Record<string, Json>): FieldError[] {
  const { provider = 'generic', secret, unsigned, algorithm, encoding, header } = config;
  const problems: FieldError[] = [];
  if (!Object.hasOwn(PROVIDERS, String(provider)))
    problems.push(notSupported('provider', provider, Object.keys(PROVIDERS)));
  const secrets = Array.isArray(secret) ? secret : secret === undefined ? [] : [secret];
  if (secrets.some((one) => typeof one !== 'string' || one === ''))
    problems.push(invalid('secret', '<hidden>', 'must be a text, or several'));
  if (secrets.length === 0 && unsigned !== true)
    problems.push(
      required('secret', 'what requests are signed with; or "unsigned: true" to take them from anybody'),
    );
  if (secrets.length > 0 && unsigned === true) problems.push(forbidden('unsigned', 'there is a secret'));
  if (algorithm !== undefined && !ALGORITHMS.includes(algorithm as never))
    problems.push(notSupported('algorithm', algorithm, ALGORITHMS));
  if (encoding !== undefined && !ENCODINGS.includes(encoding as never))
    problems.push(notSupported('encoding', encoding, ENCODINGS));
  if (header !== undefined && !/^[a-zA-Z0-9-]+$/.test(String(header)))
    problems.push(invalid('header', header, 'must be the name of a header'));
  return problems;
}

const answer = (status: number, message: string, headers: Record<string, string> = {}): SourceAnswer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ message }),
});

/** One value for each name: of a header that came twice, both, so that no signature is found in a part of it. */
function headersOf(pairs: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [name = '', value = ''] = [pairs[i], pairs[i + 1]];
    const before = found.get(name);
    found.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return found;
}

function jsonOf(headers: ReadonlyMap<string, string>, body: Buffer): Json | undefined {
  if (!/\bjson\b/.test(headers.get('content-type') ?? 'json')) return undefined;
  try {
    return JSON.parse(body.toString()) as Json;
  } catch {
    return undefined;
  }
}

async function start(context: SourceContext<WebhookConfig>) {
  const { config, clock, signal } = context;
  const provider: Provider = PROVIDERS[config.provider ?? 'generic'];
  const secrets = secretsOf(config);
  const signing: Signing = {
    algorithm: config.algorithm ?? 'sha256',
    encoding: config.encoding ?? 'hex',
    header: (config.header ?? 'x-signature').toLowerCase(),
    prefix: config.prefix ?? '',
  };
  const own = {
    type: config.type ?? 'dev.petrel.webhook',
    source:
      config.source ?? `/apis/petrel.dev/v1/namespaces/${context.namespace}/eventsources/${context.name}`,
  };

  const take = async (fields: NewEvent): Promise<SourceAnswer> => {
    const event = newEvent(fields, clock.now(), () => context.uuid());
    let late: { cancel(): void } | undefined;
    const waited = new Promise<'late'>((resolve) => {
      late = clock.after(PATIENCE_MS, () => resolve('late'));
    });
    const handed = context.emit(event);
    handed.catch(() => {}); // told below, or nobody waits for it any more
    try {
      if ((await Promise.race([handed, waited])) !== 'late')
        return { status: 202, headers: { 'x-event-id': event.id } };
    } catch {
      // It is being stopped: the same as too late.
    } finally {
      late?.cancel();
    }
    return answer(503, 'The event could not be written now. Send it again.', { 'retry-after': '5' });
  };

  const request = async ({ method, headers: pairs, body }: SourceRequest): Promise<SourceAnswer> => {
    const headers = headersOf(pairs);
    if (method === 'OPTIONS')
      // Source: cloudevents/spec `http-webhook.md`, "Abuse Protection".
      return {
        status: 200,
        headers: {
          allow: 'POST',
          ...(headers.has('webhook-request-origin')
            ? {
                'webhook-allowed-origin': headers.get('webhook-request-origin') ?? '*',
                'webhook-allowed-rate': '*',
              }
            : {}),
        },
      };
    if (method !== 'POST' && method !== 'PUT')
      return answer(405, 'Send events with POST.', { allow: 'POST, PUT' });
    if (signal.aborted) return answer(503, 'The source is being stopped.', { 'retry-after': '5' });
    if (secrets.length > 0) {
      const doubt = provider.doubt({ headers, body }, secrets, clock.now(), signing);
      if (doubt !== undefined) return answer(401, DOUBTS[doubt]);
    }
    const json = jsonOf(headers, body);
    const greeting = provider.greeting?.(json);
    if (greeting !== undefined) return greeting;
    const { id = config.idHeader && headers.get(config.idHeader.toLowerCase()), ...meaning } =
      provider.meaning(headers, json);
    try {
      return await take({
        type: meaning.type ?? own.type,
        source: meaning.source ?? own.source,
        subject: meaning.subject,
        time: meaning.time,
        id: id === '' ? undefined : id,
        datacontenttype: headers.get('content-type'),
        data: body.length > 0 ? body : undefined,
      });
    } catch (error) {
      if (error instanceof InvalidEvent) return answer(error.status, error.message);
      throw error;
    }
  };

  context.report({ ready: true, reason: 'Listening', message: '' });
  return { request, stop: async () => {} };
}

/** Signed by GitHub, Stripe, Slack, or whoever signs with an HMAC of the body. */
export const webhookSource: SourceModule<WebhookConfig> = { type: 'webhook', durable: 'own', check, start };
