/** Header fields of wasi:http. The shim's take no value that is not UTF-8, which HTTP allows. */

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;
/** Of the connection, not of the message: the host's. */
const FORBIDDEN = new Set(['connection', 'keep-alive', 'host']);

const isValue = (bytes) => !bytes.some((byte) => byte === 0 || byte === 10 || byte === 13);

export class Fields {
  /** @type {[name: string, value: Uint8Array][]} */
  #entries = [];
  #immutable = false;

  static fromList(entries) {
    const fields = new Fields();
    for (const [name, value] of entries) fields.append(name, value);
    return fields;
  }

  /** Those of a request, which its handler cannot change. @param {string[]} list names and values in turn, latin1 */
  static received(list) {
    const fields = new Fields();
    for (let i = 0; i < list.length; i += 2)
      if (!FORBIDDEN.has(list[i].toLowerCase()))
        fields.#entries.push([list[i], new Uint8Array(Buffer.from(list[i + 1], 'latin1'))]);
    fields.#immutable = true;
    return fields;
  }

  #check(name, values) {
    if (this.#immutable) throw { tag: 'immutable' };
    if (!NAME.test(name) || !values.every(isValue)) throw { tag: 'invalid-syntax' };
    if (FORBIDDEN.has(name.toLowerCase())) throw { tag: 'forbidden' };
  }

  #without(name) {
    return this.#entries.filter(([key]) => key.toLowerCase() !== name.toLowerCase());
  }

  get(name) {
    return this.#entries
      .filter(([key]) => key.toLowerCase() === name.toLowerCase())
      .map(([, value]) => value);
  }
  has(name) {
    return this.get(name).length > 0;
  }
  set(name, values) {
    this.#check(name, values);
    this.#entries = [...this.#without(name), ...values.map((value) => [name, new Uint8Array(value)])];
  }
  append(name, value) {
    this.#check(name, [value]);
    this.#entries.push([name, new Uint8Array(value)]);
  }
  delete(name) {
    this.#check(name, []);
    this.#entries = this.#without(name);
  }
  entries() {
    return this.#entries;
  }
  clone() {
    const copy = new Fields();
    copy.#entries = [...this.#entries];
    return copy;
  }
  [Symbol.dispose]() {}
}
