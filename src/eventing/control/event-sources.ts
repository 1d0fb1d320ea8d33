/** EventSource: a source of any type that there is a module for, and `kubernetes`, which watches the API and therefore works here. */
import type { EventSource } from '../../kinds/eventing/objects.ts';
import { EVENT_SOURCES } from '../../kube/refs.ts';
import { addressUrl } from '../addresses.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { provideSink, runSource } from './sources.ts';
import { watchConfig } from './watching/config.ts';
import { namespacesOf, Watcher } from './watching/watcher.ts';

/** Types whose events come as requests to an address of the source's own. */
const ADDRESSED: readonly string[] = ['webhook'];
const WATCHING = 'kubernetes';
const CONDITION = 'SourceReady';

export function eventSources(context: ControlContext): Kind<EventSource> {
  const keyOf = (namespace: string, name: string) => `eventsource/${namespace}/${name}`;
  const watcher = new Watcher(context);

  const watch = async (pass: Pass<EventSource>, key: string): Promise<void> => {
    const { config, delivery, paused } = pass.object.spec;
    const wishes = watchConfig(config);
    if (typeof wishes === 'string') {
      await provideSink(pass);
      watcher.rest(key);
      pass.conditions.markFalse(CONDITION, 'InvalidConfiguration', wishes);
      return;
    }
    const where = await namespacesOf(pass, wishes.namespaceSelector);
    const terms = { key, condition: CONDITION, ...(delivery && { delivery }), ...(paused && { paused }) };
    await watcher.run(pass, terms, wishes, where);
  };

  return {
    resource: EVENT_SOURCES,
    dependents: ['SinkProvided', CONDITION],
    async reconcile(pass) {
      const { object, namespace, name, status } = pass;
      const { type, config, reply, delivery, paused } = object.spec;
      const key = keyOf(namespace, name);
      if (ADDRESSED.includes(type))
        status.address = { name: 'http', url: addressUrl(context.base, `source/${namespace}/${name}`) };
      else delete status.address;
      if (type === WATCHING) await watch(pass, key);
      else
        await runSource(context, pass, {
          key,
          type,
          config,
          condition: CONDITION,
          ...(reply && { reply }),
          ...(delivery && { delivery }),
          ...(paused && { paused }),
        });
      return undefined;
    },
    gone: (namespace, name) => watcher.gone(keyOf(namespace, name)),
    alsoOn: (enqueue) => watcher.alsoOn(enqueue),
    stop: () => watcher.stop(),
  };
}
