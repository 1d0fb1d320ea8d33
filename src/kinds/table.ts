/** Objects as rows for `kubectl get` (`Accept: application/json;as=Table`). Source: `meta/v1.Table`, apiextensions table convertor. */
import { since } from './human.ts';
import { compileJsonPath } from './jsonpath.ts';
import type { ObjectMeta, UntypedObject } from './object.ts';
import type { PrinterColumn, ResourceDefinition } from './resource.ts';

/** `meta/v1.Table`. */
export interface Table {
  kind: 'Table';
  apiVersion: 'meta.k8s.io/v1' | 'meta.k8s.io/v1beta1';
  metadata: { resourceVersion?: string; continue?: string; remainingItemCount?: number };
  columnDefinitions:
    | { name: string; type: string; format: string; description: string; priority: number }[]
    | null;
  rows: TableRow[];
}

export interface TableRow {
  cells: (string | number | boolean | null)[];
  object?: UntypedObject | PartialObjectMetadata;
}

export interface PartialObjectMetadata {
  kind: 'PartialObjectMetadata';
  apiVersion: 'meta.k8s.io/v1' | 'meta.k8s.io/v1beta1';
  metadata: ObjectMeta;
}

export interface TableOptions {
  /** What each row carries besides its cells; the request's `includeObject`. Default `Metadata`. */
  includeObject?: 'None' | 'Metadata' | 'Object';
  /** Milliseconds since the epoch, for ages. */
  now: number;
  /** Of the list, or of the object where the table shows one. */
  resourceVersion?: string;
  /** Token of the next page. */
  continue?: string;
  /** Items that follow this page. */
  remaining?: number;
  /** Version of `meta.k8s.io` that was asked for. Default `v1`. */
  version?: 'v1' | 'v1beta1';
  /** False leaves out the column definitions: a watch sends them with its first event only. */
  headers?: boolean;
}

/** The table of these objects, in the columns of their resource. */
export function toTable(
  resource: ResourceDefinition,
  objects: UntypedObject[],
  options: TableOptions,
): Table {
  const apiVersion = `meta.k8s.io/${options.version ?? 'v1'}` as const;
  const cells = resource.columns.map(cellOf);
  const carried = (object: UntypedObject): Pick<TableRow, 'object'> => {
    if (options.includeObject === 'None') return {};
    if (options.includeObject === 'Object') return { object };
    return { object: { kind: 'PartialObjectMetadata', apiVersion, metadata: object.metadata } };
  };
  return {
    kind: 'Table',
    apiVersion,
    metadata: {
      ...(options.resourceVersion === undefined ? {} : { resourceVersion: options.resourceVersion }),
      ...(options.continue ? { continue: options.continue } : {}),
      ...(options.remaining === undefined ? {} : { remainingItemCount: options.remaining }),
    },
    columnDefinitions:
      options.headers === false
        ? null
        : resource.columns.map(({ name, type, format = '', description = '', priority }) => ({
            name,
            type,
            format,
            description,
            priority,
          })),
    rows: objects.map((object) => ({
      cells: cells.map((cell) => cell(object, options.now)),
      ...carried(object),
    })),
  };
}

type Cell = (object: UntypedObject, now: number) => string | number | boolean | null;

const pathCells = new WeakMap<PrinterColumn, Cell>();

function cellOf(column: PrinterColumn): Cell {
  if (column.value !== undefined) return column.value;
  let cell = pathCells.get(column);
  if (cell === undefined) {
    cell = pathCell(column);
    pathCells.set(column, cell);
  }
  return cell;
}

/** A JSONPath column: nothing there is null (an empty cell); several values stand side by side. */
function pathCell({ jsonPath = '', type }: PrinterColumn): Cell {
  const get = compileJsonPath(jsonPath);
  return (object, now) => {
    const values = get(object);
    const [first] = values;
    if (first === undefined || first === null) return null;
    if (type === 'date') return since(String(first), now);
    if (type === 'string') return values.map(text).join(' ');
    return typeof first === 'number' || typeof first === 'boolean' ? first : null;
  };
}

const text = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
