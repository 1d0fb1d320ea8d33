/** The contract suite for instances of the python runtime that are forked from its zygote. */
process.env.PETREL_CONTRACT_FORKED = '1';
await import('./python.test.ts');
