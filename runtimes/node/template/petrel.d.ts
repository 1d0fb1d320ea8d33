/** What a function with state imports: keys and blobs that outlive instances. The platform brings the module itself. */
declare module 'petrel' {
  /** Whatever JSON can say, or bytes. Text stays text, bytes stay bytes. */
  export type Value = string | Uint8Array | number | boolean | null | Value[] | { [name: string]: Value };

  export interface Entry<T = Value> {
    value: T;
    version: string;
    type: string;
    expires?: Date;
  }

  export interface SetOptions {
    /** Gone after so many seconds. */
    ttl?: number;
    /** Media type; by the value when left out. */
    type?: string;
    /** Only when the version is still this one. */
    ifVersion?: string;
    /** Only when there is nothing yet. */
    ifAbsent?: boolean;
  }

  export interface Listed {
    items: { key: string; etag: string; bytes: number; type: string }[];
    /** Pass it on for the next page; absent at the end. */
    after?: string;
  }

  export interface ListOptions {
    prefix?: string;
    after?: string;
    limit?: number;
  }

  /** What the platform answered instead of doing what it was asked. */
  export class StateError extends Error {
    readonly status: number;
    /** `precondition_failed`, `body_too_large`, `disk_full`, `conflict` … */
    readonly reason: string;
  }

  export const state: {
    get<T = Value>(key: string): Promise<T | undefined>;
    entry<T = Value>(key: string): Promise<Entry<T> | undefined>;
    /** Resolves to the version. */
    set(key: string, value: unknown, options?: SetOptions): Promise<string>;
    /** Whether there was something to delete. */
    delete(key: string, options?: Pick<SetOptions, 'ifVersion'>): Promise<boolean>;
    /** Adds to a whole number in one step; resolves to the sum. */
    increment(key: string, by?: number, options?: Pick<SetOptions, 'ttl'>): Promise<number>;
    /** Sets what `change` returns, again when somebody else was faster; undefined deletes. */
    update<T = Value>(
      key: string,
      change: (value: T | undefined) => T | undefined | Promise<T | undefined>,
      options?: Pick<SetOptions, 'ttl' | 'type'>,
    ): Promise<T | undefined>;
    list(options?: ListOptions): Promise<Listed>;
    blobs: {
      put(
        key: string,
        content: string | Uint8Array | AsyncIterable<Uint8Array>,
        options?: SetOptions,
      ): Promise<string>;
      get(
        key: string,
        range?: { from?: number; to?: number },
      ): Promise<
        { body: AsyncIterable<Uint8Array>; bytes: number; type: string; version: string } | undefined
      >;
      read(key: string, range?: { from?: number; to?: number }): Promise<Uint8Array | undefined>;
      delete(key: string, options?: Pick<SetOptions, 'ifVersion'>): Promise<boolean>;
      list(options?: ListOptions): Promise<Listed>;
    };
  };
}
