/**
 * Shells with a script `petrel.<shell>` beside this file. Each script asks `petrel __complete` what to propose, so that it never has to be
 * installed anew.
 */
export const SHELLS: readonly string[] = ['bash', 'zsh', 'fish'];
