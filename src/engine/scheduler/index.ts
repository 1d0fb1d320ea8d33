/** The scheduler's front door. */
export { createScheduler, type Scheduler, type SchedulerOptions } from './scheduler.ts';
