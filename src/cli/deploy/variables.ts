/** Variables as options give them. */
import { PetrelError } from '../../base/errors.ts';
import { envVarName } from '../../kinds/name.ts';
import type { EnvVar } from '../../kinds/pod.ts';

/** The variables there are, with those given set (`NAME=value`) or taken away (`NAME-`). Throws `InvalidArgument`, naming the option. */
export function variables(given: readonly string[], current: readonly EnvVar[], option: string): EnvVar[] {
  const env = new Map(current.map((variable) => [variable.name, variable]));
  for (const text of given) {
    const equals = text.indexOf('=');
    const name = equals === -1 ? text.replace(/-$/, '') : text.slice(0, equals);
    if ((equals === -1 && !text.endsWith('-')) || envVarName(name).length > 0) {
      throw new PetrelError('InvalidArgument', `${option} ${text} is no variable`, {
        fix: `write ${option} NAME=value, or ${option} NAME- to remove it`,
      });
    }
    if (equals === -1) env.delete(name);
    else env.set(name, { name, value: text.slice(equals + 1) });
  }
  return [...env.values()];
}
