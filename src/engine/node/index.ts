/** The node agent's front door. */
export { canFork, createNodeAgent, type NodeAgent, type NodeAgentOptions } from './agent.ts';
