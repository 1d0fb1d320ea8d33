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
import { apiVersionOf, asServed } from './write.ts';

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
  if (form.as === undefined && definition.storedAs === undefined) return jsonText(code, stored.text, headers);
  const object = asServed(definition, stored);
  if (form.as === undefined) return json(code, object, headers);
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
      items.map((item) =>
        definition.storedAs === undefined ? item.text : JSON.stringify(asServed(definition, item)),
      ),
    );
  }
  if (form.as === 'Table') {
    const objects = items.map((item) => asServed(definition, item));
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
  if (form.as === undefined && definition.storedAs === undefined) return undefined;
  let headers = true;
  return (type, stored) => {
    const served = asServed(definition, stored);
    const object =
      form.as === 'Table'
        ? toTable(definition, [served], {
            ...tableOptions({ ...rendering, now: now() }),
            resourceVersion: served.metadata.resourceVersion,
            headers,
          })
        : form.as === undefined
          ? served
          : partial(form, served);
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
