/** The contract suite for instances of the node runtime that are forked from its zygote. */
process.env.PETREL_CONTRACT_FORKED = '1';
await import('./node.test.ts');
