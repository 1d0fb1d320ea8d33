/** LIST: selection, pages that together show one revision, and what a client may ask about revisions. */
import { RevisionExpired, type Stored, type StoreListOptions } from '../store/contract.ts';
import type { ApiContext } from './context.ts';
import { type ApiError, badRequest, expired, futureRevision } from './errors.ts';
import { type ListParameters, revisionOf } from './options.ts';
import type { Selection } from './selection.ts';

export interface ListMeta {
  resourceVersion: string;
  continue?: string;
  remainingItemCount?: number;
}

export interface ListPage {
  metadata: ListMeta;
  items: Stored[];
}

/** One page, as the parameters ask. Throws 410 when the revision of earlier pages is no longer known. */
export function listObjects(
  { store }: ApiContext,
  resource: string,
  selection: Selection,
  parameters: ListParameters,
): ListPage {
  const options: StoreListOptions = { namespace: selection.namespace, filter: selection.matches };
  if (parameters.limit > 0) options.limit = parameters.limit;
  if (parameters.continue !== '') {
    const token = decodeToken(parameters.continue);
    options.after = token.after;
    if (token.revision >= 0) options.at = token.revision;
  } else {
    const revision = revisionOf(parameters.resourceVersion);
    if (revision > store.revision) throw futureRevision(revision, store.revision);
    const exact =
      parameters.resourceVersionMatch === 'Exact' ||
      (parameters.resourceVersionMatch === '' && parameters.limit > 0);
    if (revision > 0 && exact) options.at = revision;
  }
  try {
    const { items, revision, next, remaining } = store.list(resource, options);
    const metadata: ListMeta = { resourceVersion: String(revision) };
    if (next !== undefined) {
      metadata.continue = encodeToken({ revision, after: next });
      if (selection.matches === undefined) metadata.remainingItemCount = remaining;
    }
    return { metadata, items };
  } catch (error) {
    if (error instanceof RevisionExpired) throw expiredPage(options.after, error);
    throw error;
  }
}

/** A place in a list. Revision -1 goes on with whatever is there now ("inconsistent continue"). */
interface Token {
  revision: number;
  after: string;
}

const encodeToken = ({ revision, after }: Token): string =>
  Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start: after })).toString('base64url');

function decodeToken(text: string): Token {
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, unknown>;
    if (v === 'meta.k8s.io/v1' && Number.isSafeInteger(rv) && typeof start === 'string') {
      return { revision: rv as number, after: start };
    }
  } catch {
    // Not one of ours; the refusal is the same.
  }
  throw badRequest('continue key is not valid: the token was not issued by this server');
}

function expiredPage(after: string | undefined, error: RevisionExpired): ApiError {
  if (after === undefined)
    return expired(`The resourceVersion for the provided list is too old. (${error.message})`);
  const answer = expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without ' +
      'the continue parameter, or use the continue token in this response to retrieve the remainder of the results. ' +
      'Continuing with the provided token results in an inconsistent list - objects that were created, modified, or ' +
      'deleted between the time the first chunk was returned and now may show up in the list.',
  );
  answer.status.metadata = { continue: encodeToken({ revision: -1, after }) };
  return answer;
}
