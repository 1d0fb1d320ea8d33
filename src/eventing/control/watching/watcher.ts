/** What sources that watch the API share: from what an object asks for to what is watched, and its state. */

import { selectorText } from '../../../kinds/columns/common.ts';
import type { LabelSelector, SourceObject } from '../../../kinds/eventing/objects.ts';
import type { Json } from '../../../kinds/object.ts';
import { matchesLabels, requirementsOf } from '../../../kinds/selectors.ts';
import type { ResourceRef } from '../../../kube/client.ts';
import { NAMESPACES } from '../../../kube/refs.ts';
import type { ControlContext } from '../context.ts';
import type { Pass } from '../kind.ts';
import { runSource, type SourceTerms } from '../sources.ts';
import { attributesOf, type Mode } from './changes.ts';
import type { Followed } from './follow.ts';
import { Watches } from './watches.ts';

/** What an object asks for. */
export interface Wishes {
  mode: Mode;
  resources: { resource: ResourceRef; labelSelector?: string; fieldSelector?: string }[];
  /** Absent: the source's own namespace; empty: all. */
  namespaceSelector?: LabelSelector;
  owner?: { apiVersion: string; kind: string };
  filters?: Json[];
  /** Tells of what was there before the source, too. */
  existing?: boolean;
}

/** A LabelSelector as it stands in a request; undefined: everything. */
export function labelSelectorText(selector: LabelSelector | undefined): string | undefined {
  const empty = !selector?.matchExpressions?.length && Object.keys(selector?.matchLabels ?? {}).length === 0;
  return empty ? undefined : selectorText(selector);
}

/** The namespaces that are meant, sorted; `everywhere`: whatever namespaces there will be. */
export async function namespacesOf(
  { namespace, reader }: Pick<Pass<never>, 'namespace' | 'reader'>,
  selector: LabelSelector | undefined,
): Promise<{ names: string[]; everywhere: boolean }> {
  if (selector === undefined) return { names: [namespace], everywhere: false };
  const requirements = requirementsOf(selector);
  const found = await reader.list(NAMESPACES, '', ({ metadata }) =>
    matchesLabels(requirements, metadata.labels),
  );
  return { names: found.map(({ metadata }) => metadata.name).sort(), everywhere: requirements.length === 0 };
}

function followsOf({ resources }: Wishes, names: string[], everywhere: boolean): Followed[] {
  return resources.flatMap((one) =>
    one.resource.namespaced && !everywhere ? names.map((namespace) => ({ ...one, namespace })) : [one],
  );
}

/** The sources of one kind that watch. */
export class Watcher {
  readonly #context: ControlContext;
  readonly #watches: Watches;
  #enqueue: (namespace: string, name: string) => void = () => {};

  constructor(context: ControlContext) {
    this.#context = context;
    this.#watches = new Watches(context, (key) => {
      const [, namespace = '', name = ''] = key.split('/');
      this.#enqueue(namespace, name);
    });
  }

  /** As `Kind.alsoOn`. */
  alsoOn(enqueue: (namespace: string, name: string) => void): () => void {
    this.#enqueue = enqueue;
    return () => {};
  }

  /** As `runSource`, with the watches. `where`: what `namespacesOf` found. Resolves whether it works. */
  async run<T extends SourceObject>(
    pass: Pass<T>,
    terms: Pick<SourceTerms, 'key' | 'condition' | 'delivery' | 'paused'>,
    wishes: Wishes,
    where: { names: string[]; everywhere: boolean },
  ): Promise<boolean> {
    const { key } = terms;
    const { object } = pass;
    const { engine, stateOf } = this.#context;
    let resting = true;
    const works = await runSource(
      {
        ...this.#context,
        engine: {
          ...engine,
          setSource: (of, spec) => {
            resting = spec?.paused ?? true;
            if (resting) this.#watches.set(key, null);
            engine.setSource(of, spec);
          },
        },
        // The engine says something only when it cannot keep what it is brought.
        stateOf: (of) => {
          const told = stateOf(of);
          return told?.ready === false ? told : this.#watches.stateOf(of);
        },
      },
      pass,
      { ...terms, type: 'brought', config: {}, ceAttributes: attributesOf(wishes.mode) },
    );
    if (resting) return works;
    const { mode, owner, filters, existing } = wishes;
    this.#watches.set(key, {
      uid: object.metadata.uid ?? '',
      since: existing ? 0 : Date.parse(object.metadata.creationTimestamp ?? ''),
      mode,
      follows: followsOf(wishes, where.names, where.everywhere),
      ...(owner && { owner }),
      ...(filters?.length && { filters }),
    });
    return works;
  }

  /** It lacks something that it needs: the engine keeps what it has. */
  rest(key: string): void {
    this.#watches.set(key, null);
  }

  gone(key: string): void {
    this.#watches.set(key, null, true);
    this.#context.engine.setSource(key, null);
  }

  stop(): Promise<void> {
    return this.#watches.stop();
  }
}
