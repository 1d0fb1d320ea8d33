// @ts-check
'use strict';
/** A request as environment variables: as CGI (RFC 3875) names them, and as of-watchdog does (`Http_Path`, `Http_X_Name`). */

/** @typedef {InstanceType<typeof import('../../node/lib/exchange.cjs').Exchange>} ExchangeType */

/** An underscore would make two headers one variable; anything else is no name of a variable. */
const NAME = /^[a-z0-9-]+$/i;
/** `HTTP_PROXY` and its like are where programs look for a proxy: a client must not name one. */
const REFUSED = new Set(['proxy']);

/** @param {string} path percent-encoded @returns {string} decoded, or as it is when it cannot be */
function decoded(path) {
  try {
    const text = decodeURIComponent(path);
    return text.includes('\0') ? path : text;
  } catch {
    return path;
  }
}

/** `x-request-id` → `X_Request_Id`. @param {string} name */
const titled = (name) =>
  name
    .toLowerCase()
    .split('-')
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('_');

/**
 * @param {ExchangeType} exchange @param {string} script `SCRIPT_FILENAME`
 * @returns {Record<string, string>}
 */
function environmentOf(exchange, script) {
  const { method, target } = exchange;
  const mark = target.indexOf('?');
  const path = decoded(mark < 0 ? target : target.slice(0, mark));
  const query = mark < 0 ? '' : target.slice(mark + 1);
  const host = exchange.header('host') ?? 'localhost';
  const https = exchange.scheme === 'https';
  const port = /:(\d+)$/.exec(host)?.[1];
  /** @type {Record<string, string>} */
  const env = {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'petrel',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: port === undefined ? host : host.slice(0, -port.length - 1),
    SERVER_PORT: port ?? (https ? '443' : '80'),
    REQUEST_METHOD: method,
    REQUEST_SCHEME: exchange.scheme,
    REQUEST_URI: target,
    SCRIPT_NAME: '',
    SCRIPT_FILENAME: script,
    PATH_INFO: path,
    QUERY_STRING: query,
    // The last is whom the gateway has seen; those before it are what the client says.
    REMOTE_ADDR: exchange.header('x-forwarded-for')?.split(',').at(-1)?.trim() ?? '',
    Http_Method: method,
    Http_Path: path,
    Http_Query: query,
  };
  if (https) env.HTTPS = 'on';
  const list = exchange.headerList;
  for (let i = 0; i < list.length; i += 2) {
    const name = /** @type {string} */ (list[i]).toLowerCase();
    const value = /** @type {string} */ (list[i + 1]);
    if (!NAME.test(name) || REFUSED.has(name)) continue;
    const cgi =
      name === 'content-type' || name === 'content-length'
        ? name.toUpperCase().replace('-', '_')
        : `HTTP_${name.toUpperCase().replaceAll('-', '_')}`;
    const old = env[cgi];
    env[cgi] = old === undefined ? value : `${old}${name === 'cookie' ? '; ' : ', '}${value}`;
    env[`Http_${titled(name)}`] ??= value;
  }
  return env;
}

module.exports = { environmentOf };
