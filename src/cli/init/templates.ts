/** The templates that there are. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const RUNTIMES = fileURLToPath(new URL('../../../runtimes', import.meta.url));

/** Folders by the names of their templates: a runtime's `template` has its name, those in its `templates` have their own. */
export function templates(): Map<string, string> {
  const found: [string, string][] = [];
  for (const runtime of readdirSync(RUNTIMES)) {
    const [one, several] = [join(RUNTIMES, runtime, 'template'), join(RUNTIMES, runtime, 'templates')];
    if (existsSync(one)) found.push([runtime, one]);
    if (existsSync(several)) for (const name of readdirSync(several)) found.push([name, join(several, name)]);
  }
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}
