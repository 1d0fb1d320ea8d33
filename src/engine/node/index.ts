/** The node agent's front door. */
export { createNodeAgent, type NodeAgent, type NodeAgentOptions } from './agent.ts';
