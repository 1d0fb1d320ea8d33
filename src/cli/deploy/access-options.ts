/** Options of `deploy` about who may call a function and which instance answers, and the fields of a Function that they become. */
import { PetrelError } from '../../base/errors.ts';
import type { AuthPolicy, FunctionAccess, FunctionSpec } from '../../kinds/function.ts';
import type { Args } from '../args.ts';
import type { OptionSpec } from '../command.ts';

export const ACCESS_OPTIONS: Record<string, OptionSpec> = {
  cors: { kind: 'list', value: 'origin', help: 'pages of this origin may call it; none: no longer any' },
  auth: {
    kind: 'list',
    value: 'how=secret',
    help: 'callers need one of these: api-key=<secret>, jwt=<secret or URL of keys>, hmac=<secret>; none: anybody',
  },
  'rate-limit': {
    kind: 'text',
    value: 'n/s',
    help: 'most requests of one client, such as 10/s or 100/m; none',
  },
  sticky: {
    kind: 'text',
    value: 'key',
    help: 'requests alike in this go to one instance: header=X or query=x; none',
  },
  'once-only': {
    kind: 'text',
    value: 'when',
    choices: ['yes', 'no'],
    help: 'an instance works on one request in its life',
  },
};

const NONE = 'none';
const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600 };

/** The fields as the options say them, on top of `current`; an undefined one is to be taken away. Throws `InvalidArgument`. */
export function accessOf(
  args: Args,
  current: Partial<FunctionSpec> | undefined,
): Pick<FunctionSpec, 'access' | 'sticky' | 'onceOnly'> {
  const access: FunctionAccess = { ...current?.access };
  const origins = args.list('cors');
  if (origins.includes(NONE)) delete access.cors;
  else if (origins.length > 0) access.cors = { ...access.cors, allowOrigins: origins };
  const ways = args.list('auth');
  if (ways.includes(NONE)) delete access.auth;
  else if (ways.length > 0)
    access.auth = Object.assign({}, ...ways.map((way) => authOf(way, access.auth))) as AuthPolicy;
  const limit = args.text('rate-limit');
  if (limit === NONE) delete access.rateLimit;
  else if (limit !== undefined) access.rateLimit = { ...access.rateLimit, ...limitOf(limit) };
  const once = args.text('once-only');
  return {
    access: Object.keys(access).length > 0 ? access : undefined,
    sticky: stickyOf(args.text('sticky'), current?.sticky),
    onceOnly: once === undefined ? current?.onceOnly : once === 'yes' || undefined,
  };
}

/** One way to say who calls; what the function says of it beyond the Secret stays. */
function authOf(text: string, before: AuthPolicy | undefined): AuthPolicy {
  const [, how = '', from = ''] = /^([a-z-]+)=(.+)$/.exec(text) ?? [];
  if (how === 'api-key') return { apiKey: { ...before?.apiKey, secret: from } };
  if (how === 'hmac') return { hmac: { ...before?.hmac, secret: from } };
  if (how === 'jwt') {
    const { jwksUrl, secret, ...rest } = before?.jwt ?? {};
    return { jwt: { ...rest, ...(from.includes('://') ? { jwksUrl: from } : { secret: from }) } };
  }
  const fix =
    'write --auth api-key=<secret>, --auth jwt=<secret or URL of keys>, --auth hmac=<secret> or --auth none';
  throw new PetrelError('InvalidArgument', `--auth ${text} is not understood`, { fix });
}

function limitOf(text: string): { requests: number; seconds: number } {
  const [, requests, unit = ''] = /^(\d{1,9})\/([smh])$/.exec(text) ?? [];
  if (requests !== undefined) return { requests: Number(requests), seconds: SECONDS[unit]! };
  throw new PetrelError('InvalidArgument', `--rate-limit ${text} is not understood`, {
    fix: 'write requests and a time, such as --rate-limit 10/s, 100/m or 1000/h',
  });
}

function stickyOf(text: string | undefined, current: FunctionSpec['sticky']): FunctionSpec['sticky'] {
  if (text === undefined) return current;
  if (text === NONE) return undefined;
  const [, by, name = ''] = /^(header|query)=(.+)$/.exec(text) ?? [];
  if (by !== undefined) return by === 'header' ? { header: name } : { queryParameter: name };
  throw new PetrelError('InvalidArgument', `--sticky ${text} is not understood`, {
    fix: 'write --sticky header=<name>, --sticky query=<name> or --sticky none',
  });
}
