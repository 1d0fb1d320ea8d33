/** `/apis/apiextensions.k8s.io/v1/customresourcedefinitions`: read from the registry, never written. */
import { timestamp } from '../../base/clock.ts';
import { customResourceDefinitions } from '../../kinds/custom-resource-definitions.ts';
import type { KubeResponse } from '../../kube/transport.ts';
import { StoredObject } from '../store/stored.ts';
import { methodNotAllowed, notFound } from './errors.ts';
import { flag, revisionOf, watchParameters } from './options.ts';
import { renderList, renderObject } from './render.ts';
import { type Call, rendering, watch } from './resource-handler.ts';
import { parseSelection, selects } from './selection.ts';
import { storeKey } from './target.ts';

/**
 * Lists them, by selector where asked, gets one, or watches from a list on (they never change). `startedAt`, in
 * milliseconds, is when they are said to be made.
 */
export function answerDefinitions(call: Call, startedAt: number): KubeResponse {
  const { context, request, target, query } = call;
  const { definition, name } = target;
  if (request.method !== 'GET' || target.subresource !== '') throw methodNotAllowed();
  if (flag(query, 'watch')) {
    const { sendInitialEvents, resourceVersion } = watchParameters(query);
    // A watch that begins with what there is would have to show it; clients then list first.
    if (sendInitialEvents || revisionOf(resourceVersion) === 0) throw methodNotAllowed();
    return watch(call);
  }
  const all = customResourceDefinitions(context.registry, timestamp(startedAt)).map(
    (object) =>
      new StoredObject(storeKey(definition), '', object.metadata.name, 1, JSON.stringify(object), object),
  );
  if (name !== '') {
    const found = all.find((stored) => stored.name === name);
    if (found === undefined) throw notFound(definition, name);
    return renderObject(rendering(call), 200, found);
  }
  const selection = parseSelection(target, query);
  return renderList(rendering(call), {
    metadata: { resourceVersion: String(context.store.revision) },
    items: all.filter((stored) => selects(selection, stored)),
  });
}
