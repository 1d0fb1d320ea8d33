/** How a row is written: what differs from the usual is given, the rest follows from the kind. */
import { validateMetadata, validateMetadataUpdate } from '../metadata.ts';
import { dns1123Subdomain, type NameRule } from '../name.ts';
import type { UntypedObject } from '../object.ts';
import type { PrinterColumn, ResourceDefinition, ResourceStrategy, StoredVersion } from '../resource.ts';

export interface Row {
  kind: string;
  plural: string;
  columns: PrinterColumn[];
  shortNames?: string[];
  categories?: string[];
  /** Default true. */
  namespaced?: boolean;
  subresources?: string[];
  /** Field selector label → path of the value, for example `status.phase`. */
  selectable?: Record<string, (object: UntypedObject) => string>;
  hasGeneration?: boolean;
  /** Rule for `metadata.name`; default: DNS-1123 subdomain. */
  nameRule?: NameRule;
  strategy?: ResourceStrategy;
  storedAs?: StoredVersion;
}

/** Getters for field selectors whose label is the path of a scalar in the object. */
export function byPath(...paths: string[]): Record<string, (object: UntypedObject) => string> {
  return Object.fromEntries(
    paths.map((path) => [path, (object: UntypedObject) => scalarAt(object, path.split('.'))]),
  );
}

function scalarAt(object: UntypedObject, path: string[]): string {
  let value: unknown = object;
  for (const key of path) value = (value as Record<string, unknown> | undefined | null)?.[key];
  return value === undefined || value === null ? '' : String(value);
}

/** The rows of one group version → definitions. `typePrefix` is the message name without the kind. */
export function rows(group: string, version: string, typePrefix: string, list: Row[]): ResourceDefinition[] {
  return list.map((row) => ({
    group,
    version,
    kind: row.kind,
    plural: row.plural,
    singular: row.kind.toLowerCase(),
    shortNames: row.shortNames ?? [],
    categories: row.categories ?? [],
    namespaced: row.namespaced ?? true,
    subresources: row.subresources ?? [],
    type: `${typePrefix}.${row.kind}`,
    columns: row.columns,
    selectableFields: row.selectable ?? {},
    hasGeneration: row.hasGeneration ?? false,
    strategy: withMetadataRules(row.strategy ?? {}, row.namespaced ?? true, row.nameRule ?? dns1123Subdomain),
    ...(row.storedAs && { storedAs: row.storedAs }),
  }));
}

function withMetadataRules(
  strategy: ResourceStrategy,
  namespaced: boolean,
  nameRule: NameRule,
): ResourceStrategy {
  return {
    ...strategy,
    validate: (object) => [
      ...validateMetadata(object, namespaced, nameRule),
      ...(strategy.validate?.(object) ?? []),
    ],
    validateUpdate: (object, old) => [
      ...validateMetadataUpdate(object, old),
      ...(strategy.validateUpdate?.(object, old) ?? []),
    ],
  };
}
