/** Streams and subscriptions as they are typed. Pure. */
import { PetrelError } from '../../base/errors.ts';

const NAME = '[a-z0-9][a-z0-9.-]*';
const STREAM = new RegExp(`^(?:([a-z]+)/)?(?:(${NAME})/)?(${NAME})$`);

function keyOf(text: string, namespace: string, usual: string | undefined, fix: string): string {
  const [, kind = usual, of = namespace, name] = STREAM.exec(text) ?? [];
  if (kind !== undefined && name !== undefined) return `${kind}/${of}/${name}`;
  throw new PetrelError('InvalidArgument', `"${text}" names nothing that events are in`, { fix });
}

/** What events are sent to and kept in: `orders` is a broker, `channel/orders` or `channel/<namespace>/orders` is what it says. */
export const streamKey = (text: string, namespace: string): string =>
  keyOf(text, namespace, 'broker', 'petrel event streams shows what there is');

/** Whose deliveries: `trigger/paid`, `trigger/<namespace>/paid`, `subscription/…`, the key of a source; a bare name is a trigger's. */
export const subscriptionKey = (text: string, namespace: string): string =>
  keyOf(text, namespace, 'trigger', 'petrel trigger list shows what there is');

/** A key as people read it: the namespace only where it is another. */
export function shownKey(key: string, namespace: string): string {
  const [kind, of, name] = key.split('/');
  return of === namespace ? `${kind}/${name}` : key;
}
