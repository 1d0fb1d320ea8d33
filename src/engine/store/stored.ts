/** One version of an object: JSON text, parsed on first use. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { Stored } from './contract.ts';

/** The text is what is sent, stored and cloned; the parsed form exists only once somebody has asked for a field. */
export class StoredObject implements Stored {
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  readonly text: string;
  #object: UntypedObject | undefined;

  constructor(
    resource: string,
    namespace: string,
    name: string,
    revision: number,
    text: string,
    object?: UntypedObject,
  ) {
    this.resource = resource;
    this.namespace = namespace;
    this.name = name;
    this.revision = revision;
    this.text = text;
    this.#object = object;
  }

  get object(): UntypedObject {
    this.#object ??= JSON.parse(this.text) as UntypedObject;
    return this.#object;
  }

  clone(): UntypedObject {
    return JSON.parse(this.text) as UntypedObject;
  }

  /** Superseded versions live on in the history as text alone. */
  forget(): void {
    this.#object = undefined;
  }
}
