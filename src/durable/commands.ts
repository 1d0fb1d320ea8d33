/**
 * What a durable file is: its schema, and the commands that change it. A module that a commit thread loads exports `durable`
 * of this type; commands and results cross threads, so they are data only.
 */
import type { DatabaseSync } from 'node:sqlite';

export interface DurableFile<Command, Result> {
  /** Version of the schema; a newer file than this is refused. */
  version: number;
  /** Statements that make an empty file. */
  schema: string;
  /** Statements that bring a file of that version to the next one. */
  upgrades?: Readonly<Record<number, string>>;
  /**
   * Prepares statements once; the result carries out one command inside the transaction of its group, and sees the commands before
   * it. It must not throw for anything that a client can cause: a throw undoes the whole group.
   */
  prepare(database: DatabaseSync): (command: Command) => Result;
}
