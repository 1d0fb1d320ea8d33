/** One version of an object: JSON text, parsed on first use. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { Stored } from './contract.ts';

/**
 * The text is what is sent, stored and cloned. The parsed form, several times as large, is made when somebody asks for a field
 * and held weakly: objects that nobody looks at cost their text.
 */
export class StoredObject implements Stored {
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  readonly text: string;
  #object: WeakRef<UntypedObject> | undefined;

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
    this.#object = object && new WeakRef(object);
  }

  get object(): UntypedObject {
    const known = this.#object?.deref();
    if (known !== undefined) return known;
    const object = JSON.parse(this.text) as UntypedObject;
    this.#object = new WeakRef(object);
    return object;
  }

  clone(): UntypedObject {
    return JSON.parse(this.text) as UntypedObject;
  }

  /** Superseded versions live on in the history as text alone. */
  forget(): void {
    this.#object = undefined;
  }
}
