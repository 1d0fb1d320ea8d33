/** How Lambda's API names functions. Pure. Source: the Invoke operation of the AWS Lambda API reference. */

/** A function, and what of it: `$LATEST`, absent, or an alias. */
export interface FunctionName {
  namespace: string;
  name: string;
  alias?: string;
}

/** `[arn:aws:lambda:<region>:<account>:function:]name[:qualifier]`, or `<account>:function:name`. */
const NAME =
  /^(?:arn:aws[\w-]*:lambda:[\w-]*:\d*:function:|\d+:function:)?([A-Za-z][\w-]{0,62})(?::([$\w-]{1,62}))?$/;
/** Operations on a function, by path. Sources: Invoke, InvokeWithResponseStream, GetFunction, GetFunctionConfiguration. */
const PATHS: readonly (readonly [method: string, path: RegExp, operation: Operation])[] = [
  ['POST', /^\/2015-03-31\/functions\/([^/]+)\/invocations$/, 'invoke'],
  ['POST', /^\/2021-11-15\/functions\/([^/]+)\/response-streaming-invocations$/, 'stream'],
  ['GET', /^\/2015-03-31\/functions\/([^/]+)$/, 'get'],
  ['GET', /^\/2015-03-31\/functions\/([^/]+)\/configuration$/, 'configuration'],
];
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export type Operation = 'invoke' | 'stream' | 'get' | 'configuration';

/** What a request asks for, and the name in its path, decoded; undefined when it is another. */
export function operationOf(
  method: string | undefined,
  pathname: string,
): { operation: Operation; text: string } | undefined {
  for (const [wanted, path, operation] of PATHS) {
    const encoded = method === wanted ? path.exec(pathname)?.[1] : undefined;
    if (encoded === undefined) continue;
    try {
      return { operation, text: decodeURIComponent(encoded) };
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/**
 * Reads a name and the `Qualifier` of the query. `namespace` is what `X-Petrel-Namespace` says, Lambda has none. Undefined when it is no name.
 */
export function parseName(
  text: string,
  qualifier: string | null,
  namespace = 'default',
): FunctionName | undefined {
  const [, name, own] = NAME.exec(text) ?? [];
  const asked = qualifier ?? own;
  if (name === undefined || !NAMESPACE.test(namespace)) return undefined;
  if (qualifier !== null && own !== undefined && qualifier !== own) return undefined;
  const alias = asked === undefined || asked === '$LATEST' ? {} : { alias: asked.toLowerCase() };
  return { namespace, name: name.toLowerCase(), ...alias };
}
