/** The configuration of an EventSource of type `kubernetes`. Pure. */

import { messageOf } from '../../../base/errors.ts';
import { filterProblems } from '../../../cloudevents/filter-problems.ts';
import type { LabelSelector } from '../../../kinds/eventing/objects.ts';
import type { Json } from '../../../kinds/object.ts';
import { parseFieldSelector, parseLabelSelector, requirementsOf } from '../../../kinds/selectors.ts';
import { anyResourceOf } from '../resources.ts';
import { labelSelectorText, type Wishes } from './watcher.ts';

type Fields = Record<string, Json | undefined>;

const isFields = (value: Json | undefined): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

class Problem extends Error {}

function text(fields: Fields, field: string, path: string): string {
  const value = fields[field];
  if (typeof value !== 'string' || value === '') throw new Problem(`${path}.${field}: must be a text`);
  return value;
}

/** What `read` says, or where it fails. */
function at<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof Problem ? error : new Problem(`${path}: ${messageOf(error)}`);
  }
}

function labels(selector: Json | undefined, path: string): string | undefined {
  if (selector === undefined) return undefined;
  if (typeof selector === 'string') {
    at(path, () => parseLabelSelector(selector));
    return selector || undefined;
  }
  if (!isFields(selector)) throw new Problem(`${path}: must be a label selector`);
  at(path, () => requirementsOf(selector as LabelSelector));
  return labelSelectorText(selector as LabelSelector);
}

function resource(item: Json, path: string): Wishes['resources'][number] {
  if (!isFields(item)) throw new Problem(`${path}: must have apiVersion and kind`);
  const labelSelector = labels(item.selector, `${path}.selector`);
  const { fieldSelector } = item;
  if (fieldSelector !== undefined && typeof fieldSelector !== 'string')
    throw new Problem(`${path}.fieldSelector: must be a text such as "status.phase=Failed"`);
  if (fieldSelector) at(`${path}.fieldSelector`, () => parseFieldSelector(fieldSelector));
  return {
    resource: anyResourceOf(text(item, 'apiVersion', path), text(item, 'kind', path)),
    ...(labelSelector && { labelSelector }),
    ...(fieldSelector && { fieldSelector }),
  };
}

const MODES = ['Reference', 'Resource'];

/** What it asks for, or what is wrong with it. */
export function watchConfig(config: Record<string, Json>): Wishes | string {
  try {
    const { apiVersion, kind, selector, fieldSelector, resources, mode = 'Resource', ...others } = config;
    // One kind may stand at the top, as it does on a command line.
    const one = { apiVersion: apiVersion ?? 'v1', kind, selector, fieldSelector };
    const list = resources ?? (kind === undefined ? [] : [one as Json]);
    if (!Array.isArray(list) || list.length === 0)
      throw new Problem('resources: must name what is watched, as apiVersion and kind');
    if (!MODES.includes(mode as string)) throw new Problem(`mode: must be one of ${MODES.join(', ')}`);
    const { namespaceSelector, owner, filters, existing } = others;
    if (namespaceSelector !== undefined && !isFields(namespaceSelector))
      throw new Problem('namespaceSelector: must be a label selector; {} is every namespace');
    if (namespaceSelector) at('namespaceSelector', () => requirementsOf(namespaceSelector as LabelSelector));
    if (owner !== undefined && !isFields(owner)) throw new Problem('owner: must have apiVersion and kind');
    if (filters !== undefined && !Array.isArray(filters)) throw new Problem('filters: must be a list');
    const [wrong] = filters ? filterProblems(filters, 'filters') : [];
    if (wrong) throw new Problem(`${wrong.paths.join(', ')}: ${wrong.message}`);
    return {
      mode: mode as Wishes['mode'],
      resources: list.map((item, i) => resource(item, resources ? `resources[${i}]` : 'config')),
      ...(namespaceSelector && { namespaceSelector: namespaceSelector as LabelSelector }),
      ...(owner && {
        owner: { apiVersion: text(owner, 'apiVersion', 'owner'), kind: text(owner, 'kind', 'owner') },
      }),
      ...(filters && { filters }),
      ...((existing === true || existing === 'true') && { existing: true }),
    };
  } catch (error) {
    if (error instanceof Problem) return error.message;
    throw error;
  }
}
