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
const PATH = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The name in the path of an Invoke request, decoded; undefined when the path is another. */
export function nameInPath(pathname: string): string | undefined {
  const encoded = PATH.exec(pathname)?.[1];
  if (encoded === undefined) return undefined;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
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
