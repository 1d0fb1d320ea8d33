/** Stored objects in the form the client asked for. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import { type TableOptions, toTable } from '../../kinds/table.ts';
import type { KubeResponse } from '../../kube/transport.ts';
import type { Stored } from '../store/contract.ts';
import { badRequest } from './errors.ts';
import type { ListPage } from './list.ts';
import type { Form } from './negotiation.ts';
import { json, jsonList, jsonText } from './reply.ts';
import type { EventEncoder } from './watch.ts';
import { apiVersionOf } from './write.ts';

/** All that decides how an answer looks. */
export interface Rendering {
  definition: ResourceDefinition;
  form: Form;
  /** `includeObject` of a Table. */
  include: TableOptions['includeObject'];
  now: number;
}

export function includeObject(query: URLSearchParams): TableOptions['includeObject'] {
  const value = query.get('includeObject') || 'Metadata';
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value;
  throw badRequest(`includeObject must be None, Metadata or Object, not ${JSON.stringify(value)}`);
}

/** One object. */
export function renderObject(
  rendering: Rendering,
  code: number,
  stored: Stored,
  headers?: Record<string, string>,
): KubeResponse {
  const { definition, form } = rendering;
  if (form.as === undefined) return jsonText(code, stored.text, headers);
  const { object } = stored;
  const value =
    form.as === 'Table'
      ? toTable(definition, [object], {
          ...tableOptions(rendering),
          resourceVersion: object.metadata.resourceVersion,
        })
      : partial(form, object);
  return json(code, value, headers);
}

/** One page of a list. */
export function renderList(rendering: Rendering, { metadata, items }: ListPage): KubeResponse {
  const { definition, form } = rendering;
  if (form.as === undefined) {
    const head = { kind: `${definition.kind}List`, apiVersion: apiVersionOf(definition), metadata };
    return jsonList(
      head,
      items.map((item) => item.text),
    );
  }
  if (form.as === 'Table') {
    const objects = items.map((item) => item.object);
    return json(
      200,
      toTable(definition, objects, {
        ...tableOptions(rendering),
        resourceVersion: metadata.resourceVersion,
        continue: metadata.continue,
        remaining: metadata.remainingItemCount,
      }),
    );
  }
  const head = { kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${form.version}`, metadata };
  return jsonList(
    head,
    items.map((item) => JSON.stringify(partial(form, item.object))),
  );
}

/** The encoder of a watch in that form; undefined for the objects themselves, which all watches share. */
export function eventEncoder(rendering: Rendering, now: () => number): EventEncoder | undefined {
  const { definition, form } = rendering;
  if (form.as === undefined) return undefined;
  let headers = true;
  return (type, stored) => {
    const object =
      form.as === 'Table'
        ? toTable(definition, [stored.object], {
            ...tableOptions({ ...rendering, now: now() }),
            resourceVersion: stored.object.metadata.resourceVersion,
            headers,
          })
        : partial(form, stored.object);
    headers = false;
    return Buffer.from(`${JSON.stringify({ type, object })}\n`);
  };
}

const tableOptions = ({ form, include, now }: Rendering): TableOptions => ({
  now,
  version: form.version,
  includeObject: include,
});

const partial = ({ version }: Form, { metadata }: UntypedObject): object => ({
  kind: 'PartialObjectMetadata',
  apiVersion: `meta.k8s.io/${version}`,
  metadata,
});
