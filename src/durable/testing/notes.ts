/** A durable file for tests: notes that can be added, and a command that fails. */
import type { DurableFile } from '../commands.ts';

export type NoteCommand = { add: string } | { fail: string };

export const durable: DurableFile<NoteCommand, number> = {
  version: 2,
  schema: 'CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)',
  prepare(database) {
    const insert = database.prepare('INSERT INTO note (text) VALUES (?)');
    return (command) => {
      if ('fail' in command) throw new Error(command.fail);
      return Number(insert.run(command.add).lastInsertRowid);
    };
  },
};
