/** Mistakes in what is typed of sources and filters, told before anything is written. */
import { PetrelError } from '../../base/errors.ts';
import { SOURCE_MODULES } from '../../eventing/sources/modules.ts';
import type { Json } from '../../kinds/object.ts';
import type { Wish } from './on.ts';

/** The type that watches the Kubernetes API; it has no module of its own. */
const WATCHING = 'kubernetes';

/** All types of EventSources. */
export const SOURCE_TYPES: readonly string[] = [...Object.keys(SOURCE_MODULES), WATCHING].sort();

/** Stands for the value of a Secret, which only the platform reads. */
const UNREAD = 'unread';

/** The configuration with a text in the place of each reference to a Secret, and where those were. */
function withoutSecrets(config: Record<string, Json>, under = ''): [Record<string, Json>, string[]] {
  const unread: string[] = [];
  const entries = Object.entries(config).map(([name, value]): [string, Json] => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return [name, value];
    if ('secretKeyRef' in value) {
      unread.push(`${under}${name}`);
      return [name, UNREAD];
    }
    const [inner, found] = withoutSecrets(value, `${under}${name}.`);
    unread.push(...found);
    return [name, inner];
  });
  return [Object.fromEntries(entries), unread];
}

interface Problem {
  field: string;
  message: string;
}

async function problemsOf(type: string, config: Record<string, Json>): Promise<Problem[]> {
  if (type === WATCHING) {
    const { watchConfig } = await import('../../eventing/control/watching/config.ts');
    const found = watchConfig(config);
    return typeof found === 'string' ? [{ field: '', message: found }] : [];
  }
  const module = await SOURCE_MODULES[type]?.();
  return module?.check(config) ?? [];
}

/** Throws `InvalidArgument` when there is no such source, or its settings are wrong. What a Secret holds is not looked at. */
export async function checkSource(type: string, config: Record<string, Json>): Promise<void> {
  if (!SOURCE_TYPES.includes(type))
    throw new PetrelError('InvalidArgument', `there is no source of the kind "${type}"`, {
      fix: `one of ${SOURCE_TYPES.join(', ')}`,
    });
  const [read, unread] = withoutSecrets(config);
  const problems = (await problemsOf(type, read)).filter(
    ({ field }) => !unread.some((path) => field === path || field.startsWith(`${path}.`)),
  );
  if (problems.length > 0)
    throw new PetrelError('InvalidArgument', `the settings of the source "${type}" are wrong`, {
      why: problems.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; '),
      fix: `docs/sources/${type}.md lists them`,
    });
}

/** The same for all that a function is to be called for, with the expressions of its filters. */
export async function checkWishes(wishes: readonly Wish[]): Promise<void> {
  for (const wish of wishes) {
    if (wish.kind === 'source') await checkSource(wish.type, wish.config);
    else await checkExpressions(wish.filters);
  }
}

/** Throws `InvalidArgument` for an expression that cannot be read, and shows where. */
export async function checkExpressions(filters: readonly Json[]): Promise<void> {
  for (const filter of filters) {
    if (filter === null || typeof filter !== 'object' || Array.isArray(filter)) continue;
    if (typeof filter.cesql !== 'string') continue;
    const { parse } = await import('../../cloudevents/cesql/parser.ts');
    parse(filter.cesql);
  }
}
