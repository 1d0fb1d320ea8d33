/** What each sender's requests mean: who signed them, and which event they are. Pure. */
import type { NewEvent } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import type { SourceAnswer } from '../contract.ts';
import {
  bodySigned,
  type Doubt,
  type Signed,
  type Signing,
  slackSigned,
  stripeSigned,
} from './signatures.ts';

/** The attributes that a request gives; what is absent the source's own defaults give. */
export type Meaning = Partial<Pick<NewEvent, 'id' | 'type' | 'source' | 'subject' | 'time'>>;

export interface Provider {
  doubt(request: Signed, secrets: readonly string[], now: number, signing: Signing): Doubt;
  meaning(headers: ReadonlyMap<string, string>, body: Json | undefined): Meaning;
  /** An answer that the sender waits for before it sends events at all. */
  greeting?(body: Json | undefined): SourceAnswer | undefined;
}

const field = (value: Json | undefined, ...path: string[]): Json | undefined => {
  let found: Json | undefined = value;
  for (const name of path) {
    if (found === null || typeof found !== 'object' || Array.isArray(found)) return undefined;
    found = Object.hasOwn(found, name) ? found[name] : undefined;
  }
  return found;
};
const text = (value: Json | undefined): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
const joined = (...parts: (string | undefined)[]): string =>
  parts.filter((part) => part !== undefined).join('.');
const secondsToTime = (value: Json | undefined): string | undefined =>
  typeof value === 'number' && value > 0 && value < 1e11 ? new Date(value * 1000).toISOString() : undefined;
/** Only what may stand in an event's type. */
const word = (value: string | undefined): string | undefined =>
  value !== undefined && /^[\w.:-]{1,200}$/.test(value) ? value : undefined;

export const GITHUB_SIGNING: Signing = {
  algorithm: 'sha256',
  encoding: 'hex',
  header: 'x-hub-signature-256',
  prefix: 'sha256=',
};

export const PROVIDERS = {
  /** Attributes: cloudevents/spec `adapters/github.md`. */
  github: {
    doubt: (request, secrets) => bodySigned(request, secrets, GITHUB_SIGNING),
    meaning: (headers, body) => ({
      id: headers.get('x-github-delivery'),
      type: joined(
        'com.github',
        word(headers.get('x-github-event')) ?? 'event',
        word(text(field(body, 'action'))),
      ),
      source: text(field(body, 'repository', 'html_url')) ?? text(field(body, 'organization', 'url')),
      subject: text(field(body, 'repository', 'full_name')),
    }),
  },
  stripe: {
    doubt: stripeSigned,
    meaning: (_, body) => ({
      id: text(field(body, 'id')),
      type: joined('com.stripe', word(text(field(body, 'type'))) ?? 'event'),
      subject: text(field(body, 'data', 'object', 'id')),
      time: secondsToTime(field(body, 'created')),
    }),
  },
  slack: {
    doubt: slackSigned,
    meaning: (_, body) => ({
      id: text(field(body, 'event_id')),
      type: joined(
        'com.slack',
        word(text(field(body, 'event', 'type')) ?? text(field(body, 'type'))) ?? 'event',
      ),
      subject: text(field(body, 'event', 'channel')),
      time: secondsToTime(field(body, 'event_time')),
    }),
    greeting: (body) => {
      const challenge = text(field(body, 'challenge'));
      return text(field(body, 'type')) === 'url_verification' && challenge !== undefined
        ? {
            status: 200,
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ challenge }),
          }
        : undefined;
    },
  },
  generic: {
    doubt: (request, secrets, _, signing) => bodySigned(request, secrets, signing),
    meaning: () => ({}),
  },
} satisfies Record<string, Provider>;

export type ProviderName = keyof typeof PROVIDERS;
